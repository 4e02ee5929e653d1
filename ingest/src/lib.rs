//! The HTTP edge that turns webhooks and events into durable log records.
