//! One listing of a source: page after page, each compared as it comes, so that what has not changed is not kept.

use std::time::Duration;

use fastn_domain::catalog::Catalog;
use fastn_domain::event::EVENT_DATA_BYTES_MAX;
use fastn_domain::poll::{Change, Greatest, NextPage, Observed, Poll, RECORDS_MAX, Snapshot, Told, rate_limit};
use fastn_store::StoreError;
use serde_json::Value;
use url::Url;

use super::FetchAnswer;
use super::fill::Places;
use super::held::Held;

/// Pages of one listing.
const PAGES_MAX: u32 = 2_000;
/// Longest time of one listing.
const LISTING_MAX: Duration = Duration::from_secs(900);
/// Bytes of all answers of one listing.
const LISTING_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Changes of one save.
const CHANGES_OF_SAVE_MAX: usize = 2_000;
/// Bytes of the events of one save.
const SAVE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest wait in the middle of a listing; for a longer one the listing ends.
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// Pauses of one listing.
const PAUSES_MAX: u32 = 20;

/// Why a listing came to no end.
pub(super) enum Stop {
    /// The source asked to wait, perhaps for so long.
    Limited(Option<Duration>),
    /// It did not work: why, for people.
    Failed(String),
    /// A save did not work, so nothing is known of the poll.
    Store(StoreError),
    /// These events may not have reached the log.
    Log(Vec<u8>),
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) pages: u32,
    pub(super) created: u32,
    pub(super) updated: u32,
    pub(super) deleted: u32,
    without_key: u32,
    too_large: u32,
}

impl Counts {
    /// What people should know.
    pub(super) fn left_out(&self) -> Option<String> {
        let without_key = (self.without_key > 0)
            .then(|| format!("{} records were left out: they have no key, or one that is too long", self.without_key));
        let too_large = (self.too_large > 0).then(|| {
            format!("{} changes were not told: their records are larger than an event may be", self.too_large)
        });
        let parts: Vec<String> = without_key.into_iter().chain(too_large).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// See the head of this file.
pub(super) struct Listing<'p> {
    poll: &'p Poll,
    snapshot: Snapshot,
    silent: bool,
    told: Vec<Told>,
    told_bytes: usize,
    bytes: usize,
    pauses: u32,
    greatest: Greatest,
    pub(super) counts: Counts,
    pub(super) cursor: String,
}

impl<'p> Listing<'p> {
    pub(super) fn new(poll: &'p Poll, snapshot: Snapshot, silent: bool, cursor: String) -> Self {
        Self {
            poll,
            snapshot,
            silent,
            told: Vec::new(),
            told_bytes: 0,
            bytes: 0,
            pauses: 0,
            greatest: Greatest(cursor.clone()),
            counts: Counts::default(),
            cursor,
        }
    }

    /// Lists, and tells what has changed. How long the source asks to wait after it, if it does. What was seen before a
    /// stop is told, but for a first listing that nothing is told of.
    pub(super) async fn run(&mut self, held: &mut Held<'_>, catalog: &Catalog) -> Result<Option<Duration>, Stop> {
        let stopped = self.pages(held, catalog).await;
        if let Err(Stop::Store(_) | Stop::Log(_)) = stopped {
            return stopped;
        }
        if stopped.is_ok() {
            self.missing(held).await?;
        }
        if stopped.is_ok() || !self.silent {
            held.tell(&mut self.snapshot, &mut self.told).await?;
        }
        if stopped.is_ok() {
            self.cursor = std::mem::take(&mut self.greatest.0);
        }
        stopped
    }

    async fn pages(&mut self, held: &mut Held<'_>, catalog: &Catalog) -> Result<Option<Duration>, Stop> {
        let mut page = self.poll.first_page();
        let mut link: Option<Url> = None;
        let mut before = Vec::new();
        let began = held.parts.clock.now();
        loop {
            if held.parts.clock.now().since(began) > LISTING_MAX {
                return Err(Stop::Failed(format!("it took longer than {} seconds", LISTING_MAX.as_secs())));
            }
            held.keep().await?;
            let account = catalog.account(&held.scope.account);
            let account = account.ok_or_else(|| Stop::Failed("the account does not exist".to_owned()))?;
            let places = Places {
                account,
                vault: &held.parts.vault,
                scope: &held.scope,
                trigger: &held.trigger,
                page: &page,
                cursor: &self.cursor,
            };
            let request =
                places.request(&self.poll.spec.request, link.as_ref().map(Url::as_str)).map_err(Stop::Failed)?;
            let here = Url::parse(&request.url).map_err(|_| Stop::Failed("the URL is not valid".to_owned()))?;
            let answer = (held.parts.fetch)(request).await.map_err(Stop::Failed)?;
            let Some(wait) = self.may_go_on(&answer, held).await? else { continue };
            let body = self.read(&answer)?;
            let records = self.poll.records(&body).ok_or_else(|| {
                Stop::Failed(format!("the answer has no array at the path {:?}", self.poll.spec.records))
            })?;
            // One that does not read the number of the page gives its first for ever.
            if !records.is_empty() && answer.body == before {
                let told = "the source gives the same page again; does it read the place of {{page}} in the request?";
                return Err(Stop::Failed(told.to_owned()));
            }
            self.compare(records, held).await?;
            self.poll.follow(&mut self.greatest, &body, records);
            let header = header(&answer, "link");
            match self.poll.next_page(&page, &body, records.len(), header) {
                NextPage::End => return Ok(wait),
                NextPage::Page(next) if next == page => return Err(repeated()),
                NextPage::Page(next) => page = next,
                NextPage::Link(next) => link = Some(followed(&here, &next)?),
            }
            before = answer.body;
            if self.counts.pages == PAGES_MAX {
                return Err(Stop::Failed(format!("there are more than {PAGES_MAX} pages")));
            }
            if let Some(wait) = wait {
                self.pause(wait).await?;
            }
        }
    }

    /// Whether the answer is one to read, and what it says about waiting; nothing if the request is to be made again, after a
    /// pause that is over.
    async fn may_go_on(&mut self, answer: &FetchAnswer, held: &Held<'_>) -> Result<Option<Option<Duration>>, Stop> {
        let limit = rate_limit(&answer.headers, held.parts.clock.now());
        match answer.status {
            200..=299 => Ok(Some(limit.wait(false))),
            429 => {
                self.pause_or_stop(limit.wait(true)).await?;
                Ok(None)
            }
            503 if limit.wait(true).is_some() => {
                self.pause_or_stop(limit.wait(true)).await?;
                Ok(None)
            }
            status => Err(Stop::Failed(format!("the source answered {status}"))),
        }
    }

    async fn pause_or_stop(&mut self, wait: Option<Duration>) -> Result<(), Stop> {
        match wait {
            Some(wait) => self.pause(wait).await,
            None => Err(Stop::Limited(None)),
        }
    }

    async fn pause(&mut self, wait: Duration) -> Result<(), Stop> {
        self.pauses += 1;
        if wait > PAUSE_MAX || self.pauses > PAUSES_MAX {
            return Err(Stop::Limited(Some(wait)));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn read(&mut self, answer: &FetchAnswer) -> Result<Value, Stop> {
        self.counts.pages += 1;
        self.bytes += answer.body.len();
        if self.bytes > LISTING_BYTES_MAX {
            return Err(Stop::Failed(format!("the answers together are larger than {LISTING_BYTES_MAX} bytes")));
        }
        serde_json::from_slice(&answer.body).map_err(|_| Stop::Failed("the answer is not JSON".to_owned()))
    }

    async fn compare(&mut self, records: &[Value], held: &mut Held<'_>) -> Result<(), Stop> {
        let poll = self.poll;
        for record in records {
            let Some(key) = poll.key(record) else {
                self.counts.without_key += 1;
                continue;
            };
            match self.snapshot.observe(&key, record, &poll.view, held.generation) {
                Observed::Unchanged | Observed::Repeated => {}
                Observed::Created => self.add(held, &key, Change::Created(record)),
                Observed::Updated(fields) => self.add(held, &key, Change::Updated(record, &fields)),
            }
            if self.snapshot.len() > RECORDS_MAX && poll.spec.incremental.is_none() {
                return Err(Stop::Failed(format!("there are more than {RECORDS_MAX} records")));
            }
            self.tell_some(held).await?;
        }
        Ok(())
    }

    /// What the listing did not have.
    async fn missing(&mut self, held: &mut Held<'_>) -> Result<(), Stop> {
        if self.poll.spec.incremental.is_some() {
            self.snapshot.keep_newest(RECORDS_MAX);
            return Ok(());
        }
        loop {
            let missing = self.snapshot.take_missing(CHANGES_OF_SAVE_MAX);
            if missing.is_empty() {
                return Ok(());
            }
            if self.poll.sees_deletes() {
                for key in &missing {
                    self.add(held, key, Change::Deleted);
                }
                self.tell_some(held).await?;
            }
        }
    }

    fn add(&mut self, held: &Held<'_>, key: &str, change: Change<'_>) {
        if self.silent {
            return;
        }
        match change {
            Change::Created(_) => self.counts.created += 1,
            Change::Updated(..) => self.counts.updated += 1,
            Change::Deleted => self.counts.deleted += 1,
        }
        let entity = &self.poll.spec.entity;
        let told = Told::new(&held.trigger, entity, held.generation, key, change, held.parts.clock.now());
        if told.data_bytes() > EVENT_DATA_BYTES_MAX {
            self.counts.too_large += 1;
            return;
        }
        self.told_bytes += told.bytes();
        self.told.push(told);
    }

    async fn tell_some(&mut self, held: &mut Held<'_>) -> Result<(), Stop> {
        if self.told.len() < CHANGES_OF_SAVE_MAX && self.told_bytes < SAVE_BYTES_MAX {
            return Ok(());
        }
        self.told_bytes = 0;
        held.tell(&mut self.snapshot, &mut self.told).await
    }
}

fn header<'a>(answer: &'a FetchAnswer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn repeated() -> Stop {
    Stop::Failed("the source says that a page is followed by itself".to_owned())
}

/// The page that an answer links to. Only at the same host: requests carry secrets.
fn followed(here: &Url, link: &str) -> Result<Url, Stop> {
    let next = here.join(link).map_err(|_| Stop::Failed("the link to the next page is not valid".to_owned()))?;
    if next.origin() != here.origin() {
        return Err(Stop::Failed("the link to the next page leads to another host".to_owned()));
    }
    if next == *here {
        return Err(repeated());
    }
    Ok(next)
}
