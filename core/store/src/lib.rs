//! Seam 2: configuration and activity in SQL.
