//! Who may read what, from the claims and commands that were granted: kept apart from the node's own
//! records.

use std::collections::{BTreeMap, BTreeSet};

use byline_core::address::{Address, Target};
use byline_core::identity::Identity;
use byline_core::message::body::{Access, Command};

use super::handover::Owning;

/// The access of every object, and whose it is.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    records: BTreeMap<String, Access>,
    deleted: BTreeSet<String>,
    pub(super) owning: Owning,
}

impl Granted {
    /// An honest Reporter begins: owners read what is theirs.
    pub(crate) fn owned_by(&mut self, object: &Address, identity: &Identity) {
        self.owning.begins(object, identity);
    }

    /// Whether the object is of `identity`.
    pub(super) fn owns(&self, object: &str, identity: Option<&Identity>) -> bool {
        self.owning.owns(object, identity)
    }

    /// Whether no honest Reporter has the object.
    pub(super) fn is_free(&self, object: &str) -> bool {
        self.owning.is_free(object)
    }

    pub(super) fn forget(&mut self) {
        self.records.clear();
        self.deleted.clear();
    }

    pub(super) fn is_known(&self, object: &str) -> bool {
        self.records.contains_key(object)
    }

    pub(super) fn deleted(&mut self, object: &str) {
        self.deleted.insert(object.to_owned());
    }

    /// The objects that an honest Reporter has claimed.
    pub(super) fn known(&self) -> Vec<String> {
        let known = self.records.keys();
        known.filter(|one| !self.is_deleted(one)).cloned().collect()
    }

    /// The node comes back with this access; says whether it is the one that it said.
    pub(super) fn returns(&mut self, object: &str, access: Access) -> bool {
        let same = self.records.get(object) == Some(&access);
        self.records.insert(object.to_owned(), access);
        same
    }

    pub(super) fn is_deleted(&self, object: &str) -> bool {
        self.deleted.contains(object)
    }

    /// A claim was granted, by which `former` may be no owner any more; says whether somebody else may read since.
    pub(super) fn claimed(
        &mut self,
        object: &Address,
        access: &Access,
        fresh: bool,
        former: Option<&Identity>,
    ) -> bool {
        let known = self.records.get(object.as_str());
        let mut next = match known {
            Some(known) if !fresh => known.clone(),
            _ => access.clone(),
        };
        // Who was denied stays denied, while the node remembers.
        for one in known.map_or(&[][..], |known| &known.deny) {
            if !next.deny.contains(one) {
                next.deny.push(one.clone());
            }
        }
        // Who handed it over may read, where nothing else says.
        if let Some(former) = former
            && next.decides(former.as_str(), Some(former)).is_none()
        {
            next.authorise.push(former.as_str().to_owned());
        }
        let differs = known.is_some_and(|known| *known != next);
        self.records.insert(object.as_str().to_owned(), next);
        differs
    }

    /// A command was granted, and `access` is what came of it.
    pub(super) fn commanded(&mut self, command: &Command, access: Access) -> Result<(), String> {
        let (object, right) = match command {
            Command::Kick(object, reader, ..) => {
                // A hyperty that is there stands for its identity.
                let named = access.deny.contains(reader);
                (object, named || !reader.starts_with("user-guid:"))
            }
            Command::Allow(object, reader) => (object, !access.deny.contains(reader)),
            Command::Access(object, said) => (object, access == *said),
            Command::Delegate(object, ..) => {
                (object, self.records.get(object.as_str()) == Some(&access))
            }
            Command::Superseded(..)
            | Command::Revoked(..)
            | Command::NeedsAuth()
            | Command::Presence(..)
            | Command::Observers(..) => {
                return Err(format!("nobody here says {command:?}"));
            }
        };
        self.records
            .insert(object.as_str().to_owned(), access.clone());
        if right {
            Ok(())
        } else {
            Err(format!("{command:?} was answered by {access:?}"))
        }
    }

    /// Whether `hyperty` of `identity` may have a frame from `address`, an object or a resource of one.
    pub(crate) fn may_read(
        &self,
        address: &str,
        hyperty: &str,
        identity: Option<&Identity>,
    ) -> bool {
        let object = match Target::of(address) {
            Target::Object(url, _) => url,
            _ => address,
        };
        if self.deleted.contains(object) {
            return false;
        }
        let Some(access) = self.records.get(object) else {
            return true;
        };
        access
            .decides(hyperty, identity)
            .unwrap_or_else(|| self.owns(object, identity))
    }
}
