//! The processor, the workflow runtime and the projector.

pub mod projector;
