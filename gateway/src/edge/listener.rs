//! Temporary.
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpListener};
/// Bind.
pub fn bind_shards(addr: SocketAddr, n: usize) -> std::io::Result<Vec<TcpListener>> {
    let mut out: Vec<TcpListener> = Vec::new();
    for _ in 0..n {
        let a = out.first().map_or(Ok(addr), TcpListener::local_addr)?;
        let s = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        s.set_reuse_port(true)?;
        s.set_reuse_address(true)?;
        s.set_nonblocking(true)?;
        s.bind(&a.into())?;
        s.listen(1024)?;
        out.push(s.into());
    }
    Ok(out)
}
