//! Dead letters, and replays of many.

use fastn_contract::activity::DeadLetterView;
use fastn_contract::command::{DeadLettersReplayed, ReplayDeadLetters, ReplayExecution, RunAnswer};
use fastn_contract::replay::{ReplayPreview, ReplayView, StartReplay};
use reqwest::Method;

use super::Fastn;
use crate::error::Error;
use crate::page::Pager;

impl Fastn {
    /// Dead letters, newest first. Filters: `status`, `workflow`.
    pub fn dead_letters(&self) -> Pager<DeadLetterView> {
        self.list(&["v1", "dead-letters"])
    }

    /// One dead letter.
    pub async fn dead_letter(&self, id: &str) -> Result<DeadLetterView, Error> {
        self.get(&["v1", "dead-letters", id]).await
    }

    /// Replays dead letters.
    pub async fn replay_dead_letters(&self, which: &ReplayDeadLetters) -> Result<DeadLettersReplayed, Error> {
        self.post(&["v1", "dead-letters", "replay"], which).await
    }

    /// What a replay would do. Nothing is started.
    pub async fn preview_replay(&self, replay: &StartReplay) -> Result<ReplayPreview, Error> {
        self.post(&["v1", "replays", "preview"], replay).await
    }

    /// Starts a replay in the background.
    pub async fn start_replay(&self, replay: &StartReplay) -> Result<ReplayView, Error> {
        self.post(&["v1", "replays"], replay).await
    }

    /// Replays.
    pub fn replays(&self) -> Pager<ReplayView> {
        self.list(&["v1", "replays"])
    }

    /// One replay, with its progress.
    pub async fn replay_job(&self, id: &str) -> Result<ReplayView, Error> {
        self.get(&["v1", "replays", id]).await
    }

    /// Starts nothing more of a replay.
    pub async fn cancel_replay(&self, id: &str) -> Result<ReplayView, Error> {
        self.transport.decode(self.call(Method::POST, &["v1", "replays", id, "cancel"])?).await
    }

    /// Runs one dead letter again.
    pub async fn replay_dead_letter(&self, id: &str, how: &ReplayExecution) -> Result<RunAnswer, Error> {
        self.post(&["v1", "dead-letters", id, "replay"], how).await
    }
}
