//! What the projector writes: rows made from the journal, and the positions they were made from.

/// Rows and positions that belong together. They are written in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProjectionBatch {
    /// For each partition touched: the position the batch starts from, and the one it ends at.
    pub positions: Vec<(u32, u64, u64)>,
}
