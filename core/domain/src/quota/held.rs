//! What is limited in number: the triggers that belong to a customer, and the workflows that they name.
//!
//! A workflow belongs to the account and serves whoever's events reach it. So a customer has those that its own triggers send
//! its events to; triggers that serve every customer count for none.

use std::collections::{HashMap, HashSet};

use fastn_contract::quota::Dimension;

use crate::catalog::{AccountCatalog, CompiledTrigger};
use crate::ids::{CustomerId, TriggerId, WorkflowId};

impl AccountCatalog {
    /// How many of what `dimension` limits each customer has; nothing of what is not limited in number.
    pub fn held_by_customers(&self, dimension: Dimension) -> HashMap<&CustomerId, u64> {
        let own = self.triggers.values().filter_map(|trigger| Some((trigger.customer.as_ref()?, trigger)));
        match dimension {
            Dimension::Triggers => {
                let mut held = HashMap::new();
                own.for_each(|(customer, _)| *held.entry(customer).or_default() += 1);
                held
            }
            Dimension::Workflows => {
                let mut named: HashMap<&CustomerId, HashSet<&WorkflowId>> = HashMap::new();
                for (customer, trigger) in own {
                    named.entry(customer).or_default().extend(trigger.routes.iter().map(|route| &route.workflow));
                }
                named.into_iter().map(|(customer, workflows)| (customer, workflows.len() as u64)).collect()
            }
            _ => HashMap::new(),
        }
    }

    /// How many triggers belong to this customer.
    pub fn triggers_of(&self, customer: &CustomerId) -> u64 {
        self.triggers.values().filter(|trigger| trigger.customer.as_ref() == Some(customer)).count() as u64
    }

    /// The workflows that this customer's triggers name, but for one of them.
    pub fn workflows_of(&self, customer: &CustomerId, without: Option<&TriggerId>) -> HashSet<&WorkflowId> {
        let own = |trigger: &&CompiledTrigger| {
            trigger.customer.as_ref() == Some(customer) && without.is_none_or(|id| *id != trigger.id)
        };
        let triggers = self.triggers.values().map(AsRef::as_ref).filter(own);
        triggers.flat_map(|trigger| &trigger.routes).map(|route| &route.workflow).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, ResourceKind, ResourceRow};
    use crate::time::Timestamp;
    use serde_json::{Value, json};

    fn trigger(id: &str, customer: Option<&str>, workflows: &[&str]) -> ResourceRow {
        let routes: Vec<Value> = workflows.iter().map(|workflow| json!({"workflow": workflow})).collect();
        let mut body = json!({"id": id, "source": {"type": "event", "types": ["e"]}, "routes": routes});
        if let Some(customer) = customer {
            body["customer"] = json!(customer);
        }
        ResourceRow {
            kind: ResourceKind::Trigger,
            account: "acc".parse().unwrap(),
            customer: customer.map(|customer| customer.parse().unwrap()),
            id: id.to_owned(),
            revision: 1,
            version: 1,
            created: Timestamp(0),
            updated: Timestamp(0),
            deleted: false,
            body: body.to_string(),
        }
    }

    /// Property: a customer has its own triggers and the workflows that they name, each once; what serves everybody counts
    /// for nobody.
    #[test]
    fn a_customer_has_what_its_own_triggers_name() {
        let rows = [
            trigger("a1", Some("a"), &["w1", "w2"]),
            trigger("a2", Some("a"), &["w2"]),
            trigger("b1", Some("b"), &["w1"]),
            trigger("all", None, &["w1", "w2", "w3"]),
        ];
        let (catalog, errors) = Catalog::default().with(&rows);
        assert!(errors.is_empty(), "{errors:?}");
        let account = catalog.account(&"acc".parse().unwrap()).unwrap();
        let (a, b): (CustomerId, CustomerId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let held = |dimension| account.held_by_customers(dimension);
        assert_eq!(held(Dimension::Triggers), HashMap::from([(&a, 2), (&b, 1)]));
        assert_eq!(held(Dimension::Workflows), HashMap::from([(&a, 2), (&b, 1)]));
        assert!(held(Dimension::EventsPerDay).is_empty());
        assert_eq!((account.triggers_of(&a), account.workflows_of(&a, None).len()), (2, 2));
        let first: TriggerId = "a1".parse().unwrap();
        assert_eq!(account.workflows_of(&a, Some(&first)).len(), 1);
    }
}
