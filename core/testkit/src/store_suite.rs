//! What every store must do. Run [`run_all`] against each implementation.

mod activity;
mod alerts;
mod isolation;
mod polls;
mod privacy;
mod resources;
pub mod rows;
mod schedules;
mod usage;

use std::future::Future;
use std::sync::Arc;

use fastn_store::{Store, StoreError, StoreErrorKind};

pub use rows::{alert, batch, end, event, execution, failure, patch, scope, used};

/// A store and what must live as long as it, such as its directory.
pub type Opened = (Arc<dyn Store>, Box<dyn std::any::Any + Send>);

/// Runs every property, each on a store of its own that `open` makes.
///
/// # Panics
/// When a property does not hold.
pub async fn run_all<F: Future<Output = Opened>>(open: impl Fn() -> F) {
    macro_rules! each {
        ($($module:ident::$property:ident),* $(,)?) => {
            $({
                let (store, _guard) = open().await;
                $module::$property(store.as_ref()).await;
                store.close().await;
            })*
        };
    }
    each!(
        resources::a_write_sees_what_it_expects_or_changes_nothing,
        resources::revisions_order_the_feed,
        resources::writes_are_all_or_none,
        resources::deleted_rows_stay_in_the_feed_only,
        resources::nobody_reads_beyond_his_reach,
        resources::resources_page_without_gap_or_repeat,
        resources::trigger_urls_are_unique,
        resources::an_answer_is_remembered_once,
        activity::a_batch_reads_back,
        activity::an_execution_in_two_batches_reads_like_in_one,
        activity::patches_change_only_what_lives,
        activity::activity_ends_at_its_reach,
        activity::lists_page_and_filter,
        activity::foreign_cursors_are_refused,
        activity::dead_letters_follow_failures_and_replays,
        activity::positions_must_follow,
        activity::a_refused_batch_changes_nothing,
        activity::pruning_spares_the_living_and_their_input,
        privacy::an_account_is_pruned_alone,
        privacy::payloads_are_blanked_and_the_rest_stays,
        privacy::what_is_projected_again_is_erased_again,
        privacy::events_read_back_for_a_replay,
        activity::reset_empties_activity_and_positions,
        schedules::a_mark_only_rises,
        schedules::failures_in_a_row_are_counted,
        schedules::known_fires_are_told,
        alerts::a_save_from_another_revision_changes_nothing,
        alerts::alerts_page_and_filter,
        alerts::old_alerts_are_forgotten_once_resolved,
        alerts::dead_letters_are_counted_while_pending,
        alerts::bookmarks_only_go_forward,
        usage::batches_and_requests_add_up,
        usage::a_refused_event_reads_back,
        usage::what_is_waited_for_is_told,
    );
    macro_rules! each_of_polls {
        ($($property:path),* $(,)?) => {
            $({
                let (store, _guard) = open().await;
                $property(store.clone()).await;
                store.close().await;
            })*
        };
    }
    each_of_polls!(
        polls::one_at_a_time_holds_a_poll,
        polls::a_save_is_whole_and_once,
        polls::polls_are_listed_and_hastened,
        polls::polls_end_at_their_reach,
        privacy::an_erased_customer_leaves_nothing,
    );
    let (store, _guard) = open().await;
    isolation::no_method_crosses_a_boundary(store).await;
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.expect_err("it should have been refused").kind
}
