//! The fastn binary: command line, roles, HTTP API and wiring.
