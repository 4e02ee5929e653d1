//! Hears of configuration that any node wrote, so that the feed of every node wakes at once. The feed polls anyway: what is
//! not heard is found a little later.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;

use crate::observe;

/// Where writers say the newest revision.
pub(super) const CHANNEL: &str = "fastn_resources";
/// Between two attempts to listen again.
const RETRY: Duration = Duration::from_millis(500);

/// Listens until `written` has no more receivers and no more store.
pub(super) async fn listen(pool: PgPool, written: watch::Sender<u64>) {
    let mut heard = true;
    while !pool.is_closed() {
        if let Err(error) = hear(&pool, &written, &mut heard).await {
            if heard {
                observe::listener_lost(&error);
            }
            heard = false;
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn hear(pool: &PgPool, written: &watch::Sender<u64>, heard: &mut bool) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    // What was written while nobody listened.
    let newest = sqlx::query_scalar!("SELECT revision FROM feed").fetch_one(&mut listener).await?;
    *heard = true;
    raise(written, newest.cast_unsigned());
    while let Some(notice) = listener.try_recv().await? {
        if let Ok(revision) = notice.payload().parse() {
            raise(written, revision);
        }
    }
    Ok(())
}

/// Tells of `revision` if it is news.
pub(super) fn raise(written: &watch::Sender<u64>, revision: u64) {
    written.send_if_modified(|newest| {
        let newer = revision > *newest;
        *newest = revision.max(*newest);
        newer
    });
}
