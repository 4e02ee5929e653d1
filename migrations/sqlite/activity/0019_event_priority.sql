-- The priority that an event was sent with, 1 to 4; absent for most.
ALTER TABLE events ADD COLUMN priority BIGINT;
