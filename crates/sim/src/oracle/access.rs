//! Who may read what, from the claims that were granted: kept apart from the node's own records.

use std::collections::BTreeMap;

use byline_core::address::Address;
use byline_core::identity::Identity;
use byline_core::message::body::Access;

/// The access of every object, and the identity of its owner.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    records: BTreeMap<String, (Access, Vec<String>)>,
    owners: BTreeMap<String, String>,
}

impl Granted {
    /// Whose an object is: owners read what is theirs.
    pub(crate) fn owned_by(&mut self, object: &Address, identity: &str) {
        self.owners
            .insert(object.as_str().to_owned(), identity.to_owned());
    }

    pub(super) fn forget(&mut self) {
        self.records.clear();
    }

    pub(super) fn is_known(&self, object: &str) -> bool {
        self.records.contains_key(object)
    }

    /// A claim was granted; says whether somebody lost by it what it could read.
    pub(super) fn claimed(&mut self, object: &Address, access: &Access, fresh: bool) -> bool {
        let (known, denied) = self
            .records
            .entry(object.as_str().to_owned())
            .or_insert_with(|| (access.clone(), access.deny.clone()));
        if !fresh {
            return false;
        }
        let before = denied.len();
        *known = access.clone();
        // Once denied, always denied, while the node remembers.
        for one in &access.deny {
            if !denied.contains(one) {
                denied.push(one.clone());
            }
        }
        denied.len() > before
    }

    /// Whether `identity` may have a frame from `address`, an object or a resource of one.
    pub(crate) fn may_read(&self, address: &str, identity: Option<&str>) -> bool {
        let object = ["/changes", "/subscription"]
            .iter()
            .find_map(|resource| address.strip_suffix(resource))
            .unwrap_or(address);
        let Some((access, denied)) = self.records.get(object) else {
            return true;
        };
        if identity.is_some_and(|identity| denied.iter().any(|one| one == identity)) {
            return false;
        }
        let owner = self.owners.get(object).map(String::as_str);
        if identity.is_some() && identity == owner {
            return true;
        }
        let named = identity.map(Identity::from);
        access.decides("", named.as_ref()) == Some(true)
    }
}
