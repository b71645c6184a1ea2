//! Write Sluice workers: functions that clients call through the gateway.
