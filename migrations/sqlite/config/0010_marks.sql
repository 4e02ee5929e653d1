-- Instants that nodes have come to, such as how far schedules have fired. A mark only rises.
CREATE TABLE marks (
    name TEXT   NOT NULL PRIMARY KEY,
    at   BIGINT NOT NULL
);
