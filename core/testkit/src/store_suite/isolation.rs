//! Every method of the seam, tried as another customer and as another account.
//!
//! The tries go through a [`Witness`], which implements the whole seam: a new method does not compile until it is there,
//! and the property fails until it is tried.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fastn_contract::activity::{DeadLetterStatus, DeadLetterView, EventView, ExecutionStatus, ExecutionView, Origin};
use fastn_contract::alert::AlertView;
use fastn_contract::flow::WaitingOn;
use fastn_contract::page::Page;
use fastn_contract::quota::{Measure, UsageRow};
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::ids::{AccountId, CustomerId, EventId, ExecutionId, TriggerId};
use fastn_domain::journal::{Flow, HeldBy};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;
use fastn_store::{
    AlertFilter, AlertMemory, AlertSave, ApiCalls, ErasedActivity, ErasedConfiguration, EventFilter, EventRow,
    EventState, ExecutionFilter, ExecutionRow, Expect, PageRequest, Polls, Position, ProjectionBatch, RememberedAnswer,
    ReplaySource, ResourceWrite, ScheduleRuns, Store, StoreResult, StoredEvent, UsageDelta, UsageFilter,
};

use super::rows::{alert, batch, end, event, execution, scope, used};

/// The methods of the seam, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Method {
    Write,
    Resource,
    Resources,
    Changes,
    Events,
    Event,
    Executions,
    Execution,
    ReplaySource,
    ExecutionStates,
    EventStates,
    DeadLetters,
    DeadLetter,
    StoredEvent,
    Usage,
    EventsSince,
    CountApiCalls,
    WaitingOn,
    Remember,
    Recall,
    KnownFires,
    ScheduleRuns,
    FailingSchedules,
    Mark,
    RaiseMark,
    Position,
    Project,
    Prune,
    PruneAccount,
    BlankPayloads,
    EraseActivity,
    EraseConfiguration,
    Compact,
    ResetActivity,
    Alerts,
    Alert,
    PendingDeadLetters,
    AlertMemory,
    SaveAlerts,
    Bookmark,
    SetBookmark,
    Close,
}

impl Method {
    const FIRST: Self = Self::Write;

    /// The one after it. A match without a catch-all, so that none is left out.
    const fn next(self) -> Option<Self> {
        Some(match self {
            Self::Write => Self::Resource,
            Self::Resource => Self::Resources,
            Self::Resources => Self::Changes,
            Self::Changes => Self::Events,
            Self::Events => Self::Event,
            Self::Event => Self::Executions,
            Self::Executions => Self::Execution,
            Self::Execution => Self::ReplaySource,
            Self::ReplaySource => Self::ExecutionStates,
            Self::ExecutionStates => Self::EventStates,
            Self::EventStates => Self::DeadLetters,
            Self::DeadLetters => Self::DeadLetter,
            Self::DeadLetter => Self::StoredEvent,
            Self::StoredEvent => Self::Usage,
            Self::Usage => Self::EventsSince,
            Self::EventsSince => Self::CountApiCalls,
            Self::CountApiCalls => Self::WaitingOn,
            Self::WaitingOn => Self::Remember,
            Self::Remember => Self::Recall,
            Self::Recall => Self::KnownFires,
            Self::KnownFires => Self::ScheduleRuns,
            Self::ScheduleRuns => Self::FailingSchedules,
            Self::FailingSchedules => Self::Mark,
            Self::Mark => Self::RaiseMark,
            Self::RaiseMark => Self::Position,
            Self::Position => Self::Project,
            Self::Project => Self::Prune,
            Self::Prune => Self::PruneAccount,
            Self::PruneAccount => Self::BlankPayloads,
            Self::BlankPayloads => Self::EraseActivity,
            Self::EraseActivity => Self::EraseConfiguration,
            Self::EraseConfiguration => Self::Compact,
            Self::Compact => Self::ResetActivity,
            Self::ResetActivity => Self::Alerts,
            Self::Alerts => Self::Alert,
            Self::Alert => Self::PendingDeadLetters,
            Self::PendingDeadLetters => Self::AlertMemory,
            Self::AlertMemory => Self::SaveAlerts,
            Self::SaveAlerts => Self::Bookmark,
            Self::Bookmark => Self::SetBookmark,
            Self::SetBookmark => Self::Close,
            Self::Close => return None,
        })
    }
}

struct Witness {
    inner: Arc<dyn Store>,
    tried: Mutex<BTreeSet<Method>>,
}

impl Witness {
    fn saw(&self, method: Method) -> &dyn Store {
        self.tried.lock().expect("nobody panics with it").insert(method);
        self.inner.as_ref()
    }
}

/// Property: whatever method a stranger calls, it neither shows nor changes what is not its own.
pub(super) async fn no_method_crosses_a_boundary(store: Arc<dyn Store>) {
    let own = scope("a", "c");
    let witness = Witness { inner: Arc::clone(&store), tried: Mutex::default() };
    let store = store.as_ref();
    seed(store, &own).await;
    let before = seen_by_owner(store, &own).await;
    assert!(before.iter().all(|shown| !shown.is_empty()), "there is something to protect: {before:?}");
    for stranger in
        [Reach::Customer(scope("a", "d")), Reach::Customer(scope("b", "c")), Reach::Account(scope("b", "c").account)]
    {
        reads_nothing(&witness, &stranger).await;
        writes_nothing(&witness, &stranger, &own).await;
        assert_eq!(seen_by_owner(store, &own).await, before, "{stranger:?}");
    }
    serves_the_node(&witness, &own, &before).await;
    let mut method = Some(Method::FIRST);
    while let Some(wanted) = method {
        assert!(witness.tried.lock().expect("plain").contains(&wanted), "{wanted:?} is not tried as a stranger");
        method = wanted.next();
    }
}

async fn seed(store: &dyn Store, own: &Scope) {
    let secret = ResourceWrite {
        kind: ResourceKind::Secret,
        customer: Some(own.customer.clone()),
        id: "c/KEY".to_owned(),
        body: Some("\"sealed\"".to_owned()),
        expect: Expect::New,
    };
    store.write(&own.account, vec![secret]).await.expect("writes");
    let mut rows = batch(0, 1);
    rows.events = vec![event(own, 1), EventRow { origin: Origin::Schedule, ..event(own, 9) }];
    let mut failed = execution(own, 1);
    failed.state = end(ExecutionStatus::Failed, 1);
    let mut scheduled = execution(own, 9);
    scheduled.state = end(ExecutionStatus::Failed, 9);
    (scheduled.origin, scheduled.trigger) = (Origin::Schedule, Some(trigger_id()));
    rows.executions = vec![failed, scheduled, held(own)];
    // Usage is kept by today's date, not by that of the rows here.
    rows.usage = vec![UsageDelta { day: 40_000, ..used(own, Measure::Events, 1) }];
    store.project(rows).await.expect("projects");
    store.remember(&Reach::Customer(own.clone()), "k", answer("own")).await.expect("remembers");
    let alerts = vec![alert(own, 1)];
    store.save_alerts(AlertSave { alerts, ..AlertSave::default() }).await.expect("saves");
}

fn answer(body: &str) -> RememberedAnswer {
    RememberedAnswer { fingerprint: "f".to_owned(), status: 201, body: body.to_owned() }
}

const ID: ExecutionId = ExecutionId(1);
/// One that has not started, and waits for a time.
const HELD: ExecutionId = ExecutionId(7);

fn held(own: &Scope) -> ExecutionRow {
    let limit = HeldBy { limit: "rate".to_owned(), of: "trigger t".to_owned() };
    let flow = Flow { not_before: Some(Timestamp(i64::MAX)), limit: Some(limit), ..Flow::default() };
    ExecutionRow { flow: Some(Box::new(flow)), ..execution(own, 7) }
}

fn event_id() -> EventId {
    EventId::new("evt_1").expect("plain")
}

fn fire_id() -> EventId {
    EventId::new("evt_9").expect("plain")
}

fn trigger_id() -> TriggerId {
    TriggerId::new("t").expect("plain")
}

/// What the owner sees, by method, as text.
async fn seen_by_owner(store: &dyn Store, own: &Scope) -> Vec<String> {
    let reach = Reach::Customer(own.clone());
    let page = PageRequest::default();
    let shown = |value: &dyn std::fmt::Debug| format!("{value:?}");
    let some = |text: String| if text == "None" || text.contains("items: []") { String::new() } else { text };
    vec![
        some(shown(&store.resource(&reach, ResourceKind::Secret, "c/KEY").await.expect("reads"))),
        some(shown(&store.resources(&reach, ResourceKind::Secret, &page).await.expect("reads"))),
        some(shown(&store.events(&reach, &EventFilter::default(), &page).await.expect("reads"))),
        some(shown(&store.event(&reach, &event_id()).await.expect("reads"))),
        some(shown(&store.executions(&reach, &ExecutionFilter::default(), &page).await.expect("reads"))),
        some(shown(&store.execution(&reach, ID).await.expect("reads"))),
        some(shown(&store.replay_source(&reach, ID).await.expect("reads"))),
        some(shown(&store.execution_states(&reach, &[ID]).await.expect("reads").first())),
        some(shown(&store.event_states(&reach, &[event_id()]).await.expect("reads").first())),
        some(shown(&store.dead_letters(&reach, None, None, &page).await.expect("reads"))),
        some(shown(&store.dead_letter(&reach, ID).await.expect("reads"))),
        some(shown(&store.stored_event(&reach, &event_id()).await.expect("reads"))),
        some(shown(&store.usage(&reach, &UsageFilter::default(), &page).await.expect("reads"))),
        some(shown(&store.events_since(&reach, Timestamp(0)).await.expect("reads"))),
        some(shown(&store.waiting_on(&reach, HELD, Timestamp(0), None).await.expect("reads"))),
        some(shown(&store.recall(&reach, "k").await.expect("reads"))),
        store.known_fires(&reach, &[fire_id()]).await.expect("reads").iter().map(|known| shown(known)).collect(),
        shown(&store.schedule_runs(&reach, &trigger_id(), Timestamp(0), "").await.expect("reads").last),
        store
            .failing_schedules(&own.account, Timestamp(0), 9)
            .await
            .expect("reads")
            .iter()
            .map(|id| shown(id))
            .collect(),
        some(shown(&store.alerts(&reach, &AlertFilter::default(), &page).await.expect("reads"))),
        some(shown(&store.alert(&reach, "alert_1").await.expect("reads"))),
        shown(&store.pending_dead_letters(&reach, None).await.expect("reads")),
    ]
}

async fn reads_nothing(store: &dyn Store, stranger: &Reach) {
    let page = PageRequest::default();
    let kind = ResourceKind::Secret;
    assert_eq!(store.resource(stranger, kind, "c/KEY").await.expect("reads"), None);
    assert!(store.resources(stranger, kind, &page).await.expect("reads").items.iter().all(|row| row.id != "c/KEY"));
    assert!(store.events(stranger, &EventFilter::default(), &page).await.expect("reads").items.is_empty());
    assert_eq!(store.event(stranger, &event_id()).await.expect("reads"), None);
    assert!(store.executions(stranger, &ExecutionFilter::default(), &page).await.expect("reads").items.is_empty());
    assert_eq!(store.execution(stranger, ID).await.expect("reads"), None);
    assert_eq!(store.replay_source(stranger, ID).await.expect("reads"), None);
    assert_eq!(store.execution_states(stranger, &[ID]).await.expect("reads"), []);
    assert_eq!(store.event_states(stranger, &[event_id()]).await.expect("reads"), []);
    assert!(store.dead_letters(stranger, None, None, &page).await.expect("reads").items.is_empty());
    assert_eq!(store.dead_letter(stranger, ID).await.expect("reads"), None);
    assert_eq!(store.known_fires(stranger, &[fire_id()]).await.expect("reads"), []);
    assert_eq!(store.stored_event(stranger, &event_id()).await.expect("reads"), None);
    let usage = store.usage(stranger, &UsageFilter::default(), &page).await.expect("reads");
    assert!(usage.items.iter().all(|row| row.measure == Measure::ApiCalls && row.customer.is_empty()));
    assert_eq!(store.events_since(stranger, Timestamp(0)).await.expect("counts"), 0);
    assert_eq!(store.waiting_on(stranger, HELD, Timestamp(0), None).await.expect("reads"), None);
    assert_eq!(
        store.schedule_runs(stranger, &trigger_id(), Timestamp(0), "").await.expect("reads"),
        Default::default()
    );
    // Schedules are counted for the account as a whole.
    let failing = store.failing_schedules(stranger.account(), Timestamp(0), 9).await.expect("reads");
    assert_eq!(failing.is_empty(), stranger.account().as_str() != "a");
    assert!(store.recall(stranger, "k").await.expect("reads").is_none_or(|found| found.body != "own"));
    assert!(store.alerts(stranger, &AlertFilter::default(), &page).await.expect("reads").items.is_empty());
    assert_eq!(store.alert(stranger, "alert_1").await.expect("reads"), None);
    assert_eq!(store.pending_dead_letters(stranger, None).await.expect("reads"), 0);
}

/// What a stranger may write stays its own, even under the same names.
async fn writes_nothing(store: &dyn Store, stranger: &Reach, own: &Scope) {
    let write = |body: Option<&str>| ResourceWrite {
        kind: ResourceKind::Secret,
        customer: stranger.customer().cloned(),
        id: "c/KEY".to_owned(),
        body: body.map(str::to_owned),
        expect: Expect::Any,
    };
    let written = store.write(stranger.account(), vec![write(Some("\"theirs\""))]).await;
    // Within the account it is there already and another customer's; in another account it is another row.
    assert_eq!(written.is_ok(), *stranger.account() != own.account, "{written:?}");
    if written.is_ok() {
        store.write(stranger.account(), vec![write(None)]).await.expect("deletes its own");
    }
    // Requests of the account itself: no customer's usage is touched.
    let calls = ApiCalls { customer: None, day: 0, calls: 1 };
    store.count_api_calls(stranger.account(), vec![calls]).await.expect("counts its own");
    store.remember(stranger, "k", answer("theirs")).await.expect("remembers");
    // Whom it may erase is itself, under the account that it belongs to.
    let customer = stranger.customer().cloned().unwrap_or_else(|| own.customer.clone());
    let itself = Scope::new(stranger.account().clone(), customer);
    assert_eq!(store.erase_activity(&itself, 10).await.expect("erases").rows(), 0);
    store
        .erase_configuration(&itself.account, Some(&itself.customer), &[(ResourceKind::Secret, "c/KEY".to_owned())])
        .await
        .expect("erases");
    let ever = Timestamp(i64::MAX / 2);
    if *stranger.account() != own.account {
        assert_eq!(store.prune_account(stranger.account(), ever, 10).await.expect("prunes"), 0);
        assert_eq!(store.blank_payloads(stranger.account(), Timestamp(0), ever, 10).await.expect("blanks"), 0);
    }
}

/// The methods that serve no customer show and change everybody's rows alike.
async fn serves_the_node(store: &dyn Store, own: &Scope, before: &[String]) {
    assert!(!store.changes(0, 100).await.expect("reads").is_empty());
    store.raise_mark("m", Timestamp(1)).await.expect("writes");
    assert_eq!(store.mark("m").await.expect("reads"), Some(Timestamp(1)));
    let position = store.position(0).await.expect("reads");
    assert_eq!(position.next, 1);
    let mut rows = batch(1, 2);
    let theirs = scope("b", "c");
    rows.events = vec![event(&theirs, 2)];
    rows.executions = vec![execution(&theirs, 2)];
    store.project(rows).await.expect("projects");
    assert_eq!(seen_by_owner(store, own).await, before, "rows of another account are not shown");
    store.prune(Timestamp(0), 10).await.expect("prunes");
    assert_eq!(seen_by_owner(store, own).await, before, "nothing is that old");
    assert_eq!(store.alert_memory().await.expect("reads").revision, 1);
    let alerts = vec![alert(&theirs, 2)];
    store.save_alerts(AlertSave { from: 1, alerts, ..AlertSave::default() }).await.expect("saves");
    assert_eq!(seen_by_owner(store, own).await, before, "alerts of another account are not shown");
    store.set_bookmark("f", 0, position).await.expect("writes");
    assert_eq!(store.bookmark("f", 0).await.expect("reads"), position);
    store.compact().await.expect("compacts");
    assert_eq!(seen_by_owner(store, own).await, before, "only what was deleted goes");
    store.reset_activity().await.expect("resets");
    store.close().await;
}

#[async_trait]
impl Store for Witness {
    async fn write(&self, account: &AccountId, writes: Vec<ResourceWrite>) -> StoreResult<Vec<ResourceRow>> {
        self.saw(Method::Write).write(account, writes).await
    }
    async fn resource(&self, reach: &Reach, kind: ResourceKind, id: &str) -> StoreResult<Option<ResourceRow>> {
        self.saw(Method::Resource).resource(reach, kind, id).await
    }
    async fn resources(&self, reach: &Reach, kind: ResourceKind, page: &PageRequest) -> StoreResult<Page<ResourceRow>> {
        self.saw(Method::Resources).resources(reach, kind, page).await
    }
    async fn changes(&self, after: u64, limit: u32) -> StoreResult<Vec<ResourceRow>> {
        self.saw(Method::Changes).changes(after, limit).await
    }
    async fn events(&self, reach: &Reach, filter: &EventFilter, page: &PageRequest) -> StoreResult<Page<EventView>> {
        self.saw(Method::Events).events(reach, filter, page).await
    }
    async fn event(&self, reach: &Reach, id: &EventId) -> StoreResult<Option<EventView>> {
        self.saw(Method::Event).event(reach, id).await
    }
    async fn executions(
        &self,
        reach: &Reach,
        filter: &ExecutionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<ExecutionView>> {
        self.saw(Method::Executions).executions(reach, filter, page).await
    }
    async fn execution(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<ExecutionView>> {
        self.saw(Method::Execution).execution(reach, id).await
    }
    async fn replay_source(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<ReplaySource>> {
        self.saw(Method::ReplaySource).replay_source(reach, id).await
    }
    async fn execution_states(
        &self,
        reach: &Reach,
        ids: &[ExecutionId],
    ) -> StoreResult<Vec<(ExecutionId, ExecutionStatus)>> {
        self.saw(Method::ExecutionStates).execution_states(reach, ids).await
    }
    async fn event_states(&self, reach: &Reach, ids: &[EventId]) -> StoreResult<Vec<EventState>> {
        self.saw(Method::EventStates).event_states(reach, ids).await
    }
    async fn dead_letters(
        &self,
        reach: &Reach,
        status: Option<DeadLetterStatus>,
        workflow: Option<&str>,
        page: &PageRequest,
    ) -> StoreResult<Page<DeadLetterView>> {
        self.saw(Method::DeadLetters).dead_letters(reach, status, workflow, page).await
    }
    async fn dead_letter(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<DeadLetterView>> {
        self.saw(Method::DeadLetter).dead_letter(reach, id).await
    }
    async fn stored_event(&self, reach: &Reach, id: &EventId) -> StoreResult<Option<StoredEvent>> {
        self.saw(Method::StoredEvent).stored_event(reach, id).await
    }
    async fn usage(&self, reach: &Reach, filter: &UsageFilter, page: &PageRequest) -> StoreResult<Page<UsageRow>> {
        self.saw(Method::Usage).usage(reach, filter, page).await
    }
    async fn events_since(&self, reach: &Reach, since: Timestamp) -> StoreResult<u64> {
        self.saw(Method::EventsSince).events_since(reach, since).await
    }
    async fn count_api_calls(&self, account: &AccountId, counts: Vec<ApiCalls>) -> StoreResult<()> {
        self.saw(Method::CountApiCalls).count_api_calls(account, counts).await
    }
    async fn waiting_on(
        &self,
        reach: &Reach,
        id: ExecutionId,
        now: Timestamp,
        concurrency: Option<u32>,
    ) -> StoreResult<Option<WaitingOn>> {
        self.saw(Method::WaitingOn).waiting_on(reach, id, now, concurrency).await
    }
    async fn remember(
        &self,
        reach: &Reach,
        key: &str,
        answer: RememberedAnswer,
    ) -> StoreResult<Option<RememberedAnswer>> {
        self.saw(Method::Remember).remember(reach, key, answer).await
    }
    async fn recall(&self, reach: &Reach, key: &str) -> StoreResult<Option<RememberedAnswer>> {
        self.saw(Method::Recall).recall(reach, key).await
    }
    async fn known_fires(&self, reach: &Reach, ids: &[EventId]) -> StoreResult<Vec<(CustomerId, EventId)>> {
        self.saw(Method::KnownFires).known_fires(reach, ids).await
    }
    async fn schedule_runs(
        &self,
        reach: &Reach,
        trigger: &TriggerId,
        after: Timestamp,
        after_event: &str,
    ) -> StoreResult<ScheduleRuns> {
        self.saw(Method::ScheduleRuns).schedule_runs(reach, trigger, after, after_event).await
    }
    async fn failing_schedules(
        &self,
        account: &AccountId,
        since: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<TriggerId>> {
        self.saw(Method::FailingSchedules).failing_schedules(account, since, limit).await
    }
    async fn mark(&self, name: &str) -> StoreResult<Option<Timestamp>> {
        self.saw(Method::Mark).mark(name).await
    }
    async fn raise_mark(&self, name: &str, at: Timestamp) -> StoreResult<()> {
        self.saw(Method::RaiseMark).raise_mark(name, at).await
    }
    // polls_end_at_their_reach holds these.
    fn polls(self: Arc<Self>) -> Arc<dyn Polls> {
        self.inner.clone().polls()
    }
    async fn position(&self, partition: u32) -> StoreResult<Position> {
        self.saw(Method::Position).position(partition).await
    }
    async fn project(&self, batch: ProjectionBatch) -> StoreResult<()> {
        self.saw(Method::Project).project(batch).await
    }
    async fn prune(&self, before: Timestamp, rows_max: u32) -> StoreResult<u64> {
        self.saw(Method::Prune).prune(before, rows_max).await
    }
    async fn prune_account(&self, account: &AccountId, before: Timestamp, rows_max: u32) -> StoreResult<u64> {
        self.saw(Method::PruneAccount).prune_account(account, before, rows_max).await
    }
    async fn blank_payloads(
        &self,
        account: &AccountId,
        from: Timestamp,
        before: Timestamp,
        rows_max: u32,
    ) -> StoreResult<u64> {
        self.saw(Method::BlankPayloads).blank_payloads(account, from, before, rows_max).await
    }
    async fn erase_activity(&self, scope: &Scope, rows_max: u32) -> StoreResult<ErasedActivity> {
        self.saw(Method::EraseActivity).erase_activity(scope, rows_max).await
    }
    async fn erase_configuration(
        &self,
        account: &AccountId,
        customer: Option<&CustomerId>,
        also: &[(ResourceKind, String)],
    ) -> StoreResult<ErasedConfiguration> {
        self.saw(Method::EraseConfiguration).erase_configuration(account, customer, also).await
    }
    async fn compact(&self) -> StoreResult<bool> {
        self.saw(Method::Compact).compact().await
    }
    async fn reset_activity(&self) -> StoreResult<()> {
        self.saw(Method::ResetActivity).reset_activity().await
    }
    async fn alerts(&self, reach: &Reach, filter: &AlertFilter, page: &PageRequest) -> StoreResult<Page<AlertView>> {
        self.saw(Method::Alerts).alerts(reach, filter, page).await
    }
    async fn alert(&self, reach: &Reach, id: &str) -> StoreResult<Option<AlertView>> {
        self.saw(Method::Alert).alert(reach, id).await
    }
    async fn pending_dead_letters(&self, reach: &Reach, workflow: Option<&str>) -> StoreResult<u64> {
        self.saw(Method::PendingDeadLetters).pending_dead_letters(reach, workflow).await
    }
    async fn alert_memory(&self) -> StoreResult<AlertMemory> {
        self.saw(Method::AlertMemory).alert_memory().await
    }
    async fn save_alerts(&self, save: AlertSave) -> StoreResult<u64> {
        self.saw(Method::SaveAlerts).save_alerts(save).await
    }
    async fn bookmark(&self, follower: &str, partition: u32) -> StoreResult<Position> {
        self.saw(Method::Bookmark).bookmark(follower, partition).await
    }
    async fn set_bookmark(&self, follower: &str, partition: u32, position: Position) -> StoreResult<()> {
        self.saw(Method::SetBookmark).set_bookmark(follower, partition, position).await
    }
    async fn close(&self) {
        self.saw(Method::Close).close().await;
    }
}
