//! The fault rig: a cluster of real processes on a real Kafka and a real PostgreSQL, a steady load, and an oracle that
//! holds what arrived at a sink and what Activity shows against what was accepted.

mod back_ends;
pub mod cluster;
pub mod load;
pub mod network;
pub mod oracle;
pub mod rig;

pub use cluster::{Cluster, Plan, Servers};
pub use oracle::{Report, Zombie};
pub use rig::Rig;
