//! The processor, the workflow runtime and the projector.
