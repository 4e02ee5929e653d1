//! Pages of lists.

use serde::{Deserialize, Serialize};

/// Rows in a page when the request names no limit.
pub const PAGE_LIMIT_DEFAULT: u32 = 50;
/// Most rows in a page.
pub const PAGE_LIMIT_MAX: u32 = 1_000;

/// One page of a list, newest first unless the list says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Pass it as `cursor` to get the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
