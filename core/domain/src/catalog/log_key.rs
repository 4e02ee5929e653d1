//! The data keys under which the payloads of a customer's records lie in the log.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SealedSecret;
use crate::scope::Scope;
use crate::time::Timestamp;

/// A customer's data key as it is kept, wrapped. Destroying it makes every record that was sealed under it unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogKey {
    /// Its id, which sealed records name.
    pub id: String,
    /// The key, sealed for the customer under the id as its name.
    pub sealed: SealedSecret,
    /// Whether new records are sealed under it. One that is not opens old ones only.
    pub active: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it was made with its customer, so that no record of the customer was ever appended without it.
    pub since_the_start: bool,
}

/// The keys of every account.
#[derive(Clone, Debug, Default)]
pub struct LogKeys {
    by_id: HashMap<String, (Scope, Arc<LogKey>)>,
    active: HashMap<Scope, Arc<LogKey>>,
}

impl LogKeys {
    /// Whether there are none, as where nobody seals.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The key under which new records of this customer are sealed.
    pub fn active(&self, scope: &Scope) -> Option<&Arc<LogKey>> {
        self.active.get(scope)
    }

    /// The key with this id, and whose it is.
    pub fn get(&self, id: &str) -> Option<&(Scope, Arc<LogKey>)> {
        self.by_id.get(id)
    }

    /// The keys of a customer.
    pub fn of(&self, scope: &Scope) -> Vec<Arc<LogKey>> {
        let own = self.by_id.values().filter(|(owner, _)| owner == scope);
        own.map(|(_, key)| Arc::clone(key)).collect()
    }

    pub(super) fn put(&mut self, scope: Scope, key: LogKey) {
        self.forget(&key.id);
        let key = Arc::new(key);
        if key.active {
            self.active.insert(scope.clone(), Arc::clone(&key));
        }
        self.by_id.insert(key.id.clone(), (scope, key));
    }

    pub(super) fn forget(&mut self, id: &str) {
        if let Some((scope, _)) = self.by_id.remove(id)
            && self.active.get(&scope).is_some_and(|active| active.id == id)
        {
            self.active.remove(&scope);
        }
    }
}
