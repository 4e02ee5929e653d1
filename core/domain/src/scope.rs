//! The proof of which account and customer a call is bound to. Every storage call needs one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, CustomerId, IdError};

/// Stands in the place of a customer where something belongs to the account itself: an app's event that went to none. No
/// customer has this id.
pub const CUSTOMER_NONE: &str = "@none";

/// One customer of one account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The account.
    pub account: AccountId,
    /// Its customer.
    pub customer: CustomerId,
}

impl Scope {
    /// Binds both.
    pub fn new(account: AccountId, customer: CustomerId) -> Self {
        Self { account, customer }
    }

    /// Of the account itself, for what belongs to none of its customers.
    pub fn of_account(account: AccountId) -> Self {
        let customer = CustomerId::new(CUSTOMER_NONE).expect("letters and @ are an id");
        Self { account, customer }
    }

    /// Whether it stands for the account itself.
    pub fn is_of_account(&self) -> bool {
        self.customer.as_str() == CUSTOMER_NONE
    }

    /// Checks and binds both texts.
    pub fn parse(account: &str, customer: &str) -> Result<Self, IdError> {
        Ok(Self { account: AccountId::new(account)?, customer: CustomerId::new(customer)? })
    }

    /// The log key, `account/customer`. Ids hold no slash, so it splits one way only.
    pub fn key(&self) -> String {
        format!("{}/{}", self.account, self.customer)
    }

    /// The inverse of [`Scope::key`].
    pub fn from_key(key: &str) -> Option<Self> {
        let (account, customer) = key.split_once('/')?;
        Self::parse(account, customer).ok()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.customer)
    }
}

/// How far a reader of configuration or activity may look: a whole account, or one customer of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every customer of the account and what belongs to the account itself.
    Account(AccountId),
    /// One customer only.
    Customer(Scope),
}

impl Reach {
    /// The account, which every reach has.
    pub fn account(&self) -> &AccountId {
        match self {
            Reach::Account(account) => account,
            Reach::Customer(scope) => &scope.account,
        }
    }

    /// The one customer, unless the reach is the whole account.
    pub fn customer(&self) -> Option<&CustomerId> {
        match self {
            Reach::Account(_) => None,
            Reach::Customer(scope) => Some(&scope.customer),
        }
    }
}
