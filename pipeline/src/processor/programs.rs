//! Compiled workflows, kept while they are used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fastn_domain::catalog::Catalog;
use fastn_domain::ids::{AccountId, WorkflowId};

use crate::runtime::{Program, compile};

/// Programs kept; beyond it all are dropped and compiled again as they are used.
const PROGRAMS_MAX: usize = 4_096;

type Key = (AccountId, WorkflowId, u32);

/// The compiled versions of workflows.
#[derive(Default)]
pub(crate) struct Programs {
    compiled: Mutex<HashMap<Key, Arc<Program>>>,
}

impl Programs {
    /// The program of a version, compiled when it is first used: a few milliseconds.
    ///
    /// # Errors
    /// Why there is none: the version is gone, or this version of fastn refuses what an older one took.
    pub(crate) fn get(
        &self,
        catalog: &Catalog,
        account: &AccountId,
        workflow: &WorkflowId,
        version: u32,
    ) -> Result<Arc<Program>, String> {
        let key = (account.clone(), workflow.clone(), version);
        if let Some(program) = self.lock().get(&key) {
            return Ok(Arc::clone(program));
        }
        let entry =
            catalog.account(account).and_then(|account| account.workflows.get(workflow)?.versions.get(&version));
        let source = entry.ok_or_else(|| format!("workflow {workflow} has no version {version} any more"))?;
        let program = compile(&source.source, &source.file).map_err(|error| error.to_string())?;
        let program = Arc::new(program);
        let mut compiled = self.lock();
        if compiled.len() >= PROGRAMS_MAX {
            compiled.clear();
        }
        compiled.insert(key, Arc::clone(&program));
        Ok(program)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Program>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
