//! Sockets over channels in memory, with paused time; and a few over TCP.

mod bounds;
mod calls;
mod channels;
mod errors;
mod frames;
mod held;
mod message_pack;
mod node;
mod rig;
mod shutdown;
mod streams;
mod tokens;
mod wire;
mod written;
