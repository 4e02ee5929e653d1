//! Traces: a record of every outside call in `traces[p]`, for those who look at what workflows call.
//!
//! They are told after the fact and never in the way: a bounded buffer takes them, one task writes what gathered, and what
//! does not fit or cannot be written is dropped and counted. Nothing is decided by a trace, so a lost one is no lost
//! execution, and one of a processor that lost its partition is told by its epoch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastn_domain::trace::Trace;
use fastn_log::{Log, Partition, Record, Topic, codec};
use tokio::sync::mpsc;

use super::observe;

/// Traces that wait to be written, at about 500 bytes each.
const QUEUED_MAX: usize = 16_384;
/// Traces taken at once.
const BATCH_MAX: usize = 1_024;
/// Between two writes, so that a write holds what gathered meanwhile.
const WRITE_EVERY: Duration = Duration::from_millis(200);

/// Where traces are told.
pub(crate) struct Traces(Option<mpsc::Sender<(Partition, Trace)>>);

impl Traces {
    /// Starts the task that writes to `log`, if traces are wanted. It ends with this.
    pub(crate) fn start(log: &Arc<dyn Log>, wanted: bool) -> Self {
        if !wanted {
            return Self(None);
        }
        let (sender, traces) = mpsc::channel(QUEUED_MAX);
        tokio::spawn(write(Arc::clone(log), traces));
        Self(Some(sender))
    }

    /// Tells of a call, if anybody wants to know.
    pub(crate) fn tell(&self, partition: Partition, trace: impl FnOnce() -> Trace) {
        let Some(sender) = &self.0 else { return };
        match sender.try_reserve() {
            Ok(place) => place.send((partition, trace())),
            Err(_) => observe::traces_dropped(1),
        }
    }
}

async fn write(log: Arc<dyn Log>, mut traces: mpsc::Receiver<(Partition, Trace)>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while traces.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let mut records: BTreeMap<Partition, Vec<Record>> = BTreeMap::new();
        for (partition, trace) in batch.drain(..) {
            let record = Record::new(trace.scope.key(), codec::encode_trace(&trace));
            records.entry(partition).or_default().push(record);
        }
        let counts: Vec<usize> = records.values().map(Vec::len).collect();
        let append = |(partition, records)| log.append(Topic::Traces, partition, records);
        let appended = futures_util::future::join_all(records.into_iter().map(append)).await;
        for (count, appended) in counts.into_iter().zip(appended) {
            match appended {
                Ok(_) => observe::traces_written(count),
                Err(_) => observe::traces_dropped(count),
            }
        }
        // While a full batch waits there is nothing to gather for.
        if traces.len() < BATCH_MAX {
            tokio::time::sleep(WRITE_EVERY).await;
        }
    }
}
