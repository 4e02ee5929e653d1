//! Residency: a customer belongs to a region, and a cell serves one.

use std::collections::BTreeMap;

use fastn_contract::error::{ErrorCode, Problem};
use fastn_contract::resource::Region;

use crate::catalog::Catalog;
use crate::scope::Scope;

/// The region that this cell serves, and where the cells of the others answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    /// This cell's region; absent for the only cell of an installation, which serves everybody.
    pub region: Option<Region>,
    /// Base URLs of the cells.
    pub cells: BTreeMap<Region, String>,
}

impl Residency {
    /// Refuses requests for a customer whose data is kept elsewhere. One that the catalog does not know passes: whoever
    /// asks next for it finds that out.
    ///
    /// # Errors
    /// `WRONG_REGION` with the base URL of the customer's cell, as far as it is known.
    pub fn check(&self, catalog: &Catalog, scope: &Scope) -> Result<(), Problem> {
        let home = catalog.customer(scope).and_then(|customer| customer.region);
        let (Some(here), Some(home)) = (self.region, home) else { return Ok(()) };
        if here == home {
            return Ok(());
        }
        let base_url = self.cells.get(&home).cloned();
        let advice = match &base_url {
            Some(url) => format!("send the request to {url}"),
            None => "send the request to the cell of that region, whose address this one was not told".to_owned(),
        };
        let detail = format!(
            "The data of customer {} is kept in {}, and this cell serves {}; {advice}.",
            scope.customer,
            home.as_str(),
            here.as_str()
        );
        let mut problem = Problem::new(ErrorCode::WrongRegion, detail);
        problem.base_url = base_url.map(String::into_boxed_str);
        Err(problem)
    }
}
