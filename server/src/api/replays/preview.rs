//! What a replay would do, without doing it.

use fastn_contract::command::ReplayFrom;
use fastn_contract::replay::{
    REPLAY_PREVIEW_COUNT_MAX, REPLAY_RATE_DEFAULT, REPLAY_SAMPLE_MAX, ReplayPreview, ReplayPreviewItem, StartReplay,
};
use fastn_domain::replay::kept_results;
use fastn_domain::{EventId, ExecutionId, Reach};

use super::build::{before_failure, blocked_again, event_again, version_to_run};
use super::select::{Item, Selection, What};
use crate::api::Api;
use crate::api::problem::ApiResult;

/// Rows that are looked at in one read.
const PAGE_ROWS: u32 = 500;
/// Pages that a preview looks at: a selection that lets little through is not walked to its end.
const PAGES_MAX: usize = 200;
/// Kinds of steps that reach outside.
const OUTSIDE: [&str; 3] = ["fetch", "emit", "invoke"];

pub(super) async fn preview(api: &Api, selection: &Selection, request: &StartReplay) -> ApiResult<ReplayPreview> {
    let most = selection.limit().min(REPLAY_PREVIEW_COUNT_MAX);
    let (mut total, mut sample, mut cursor, mut pages) = (0, Vec::new(), None, 0);
    let more = loop {
        let page = selection.page(api.store.as_ref(), cursor, PAGE_ROWS).await?;
        pages += 1;
        for item in page.items {
            if total == most {
                break;
            }
            total += 1;
            if sample.len() < REPLAY_SAMPLE_MAX {
                sample.push(shown(api, request, item).await?);
            }
        }
        match page.next {
            None => break false,
            Some(_) if total == most || pages == PAGES_MAX => break selection.limit() > total,
            next => cursor = next,
        }
    };
    let rate = u64::from(request.rate_per_second.unwrap_or(REPLAY_RATE_DEFAULT));
    Ok(ReplayPreview { total, more, seconds: total.div_ceil(rate), sample })
}

async fn shown(api: &Api, request: &StartReplay, item: Item) -> ApiResult<ReplayPreviewItem> {
    let mut shown = ReplayPreviewItem {
        id: item.id.clone(),
        customer: item.scope.customer.to_string(),
        ..ReplayPreviewItem::default()
    };
    match &item.what {
        What::Refused(reason) => shown.skipped = Some(reason.clone()),
        What::Event(id) => shown.skipped = event_skipped(api, &item, id).await?,
        What::Blocked(id) => shown.skipped = blocked_skipped(api, &item, id).await?,
        What::Execution(id) => execution(api, request, &item, *id, &mut shown).await?,
    }
    Ok(shown)
}

async fn event_skipped(api: &Api, item: &Item, id: &EventId) -> ApiResult<Option<String>> {
    let source = api.store.stored_event(&Reach::Customer(item.scope.clone()), id).await?;
    let Some(source) = source else { return Ok(Some("its payload is gone".to_owned())) };
    Ok(event_again(id.clone(), id.as_str(), source).err())
}

async fn blocked_skipped(api: &Api, item: &Item, id: &EventId) -> ApiResult<Option<String>> {
    let source = api.store.stored_event(&Reach::Customer(item.scope.clone()), id).await?;
    Ok(blocked_again(id, source).err())
}

async fn execution(
    api: &Api,
    request: &StartReplay,
    item: &Item,
    id: ExecutionId,
    shown: &mut ReplayPreviewItem,
) -> ApiResult<()> {
    let source = api.store.replay_source(&Reach::Customer(item.scope.clone()), id).await?;
    let Some(source) = source else {
        shown.skipped = Some("its input is gone".to_owned());
        return Ok(());
    };
    shown.workflow = Some(source.view.workflow.clone());
    match version_to_run(&api.catalog.current(), &source, request.version) {
        Ok(version) => shown.version = Some(version),
        Err(problem) => shown.skipped = Some(problem.0.detail.clone()),
    }
    let results = match request.from {
        ReplayFrom::Start => Vec::new(),
        ReplayFrom::FailedStep => kept_results(before_failure(&source.view, source.results)),
    };
    shown.kept = results.into_iter().map(|result| result.key).collect();
    let steps = source.view.steps.unwrap_or_default().into_iter();
    let again = steps.filter(|step| OUTSIDE.contains(&step.kind.as_str()) && !shown.kept.contains(&step.key));
    shown.calls_again = again.map(|step| step.key).collect();
    Ok(())
}
