//! Addresses (protocol.md §1): where a message goes, and what kind of thing is there.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::ADDRESS_BYTES_MAX;

/// The address of a session between a runtime and its node.
pub const SESSION: &str = "mn:/session";

/// Schemes that never name a data object.
const RESERVED_SCHEMES: [&str; 9] = [
    "hyperty",
    "hyperty-runtime",
    "runtime",
    "domain",
    "mn",
    "user",
    "user-guid",
    "hyperty-catalogue",
    "global",
];

/// Why a text is not the address it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not `<scheme>://<domain>/<id>`.
    #[error(
        "`{0}` is not an address: write <scheme>://<domain>/<id>, as in ctxt://localhost/kitchen"
    )]
    Form(String),
    /// Longer than [`ADDRESS_BYTES_MAX`].
    #[error("an address has {0} bytes: at most {ADDRESS_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// A scheme that names something else.
    #[error("`{0}` is no address of a data object: its scheme names something else")]
    Reserved(String),
    /// Ends like one of an object's resources.
    #[error("`{0}` is no address of a data object: it ends like one of an object's resources")]
    Resource(String),
}

/// An address of the form `<scheme>://<domain>/<id>`, compared byte for byte. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Arc<str>);

impl Address {
    /// Reads any address.
    ///
    /// # Errors
    /// [`AddressError::Form`] and [`AddressError::TooLong`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::TooLong(text.len()));
        }
        let form = || AddressError::Form(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let (domain, id) = rest.split_once('/').unwrap_or((rest, ""));
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let visible = |part: &str| part.chars().all(|c| !c.is_control() && !c.is_whitespace());
        let id_ok = !rest.contains('/') || id.split('/').all(|segment| !segment.is_empty());
        if scheme_ok && !domain.is_empty() && visible(rest) && id_ok {
            Ok(Self(text.into()))
        } else {
            Err(form())
        }
    }

    /// Reads the address of a data object.
    ///
    /// # Errors
    /// Those of [`Address::parse`], [`AddressError::Reserved`] and [`AddressError::Resource`].
    pub fn object(text: &str) -> Result<Self, AddressError> {
        let address = Self::parse(text)?;
        if address.id().is_empty() {
            return Err(AddressError::Form(text.to_owned()));
        }
        if RESERVED_SCHEMES.contains(&address.scheme()) {
            return Err(AddressError::Reserved(text.to_owned()));
        }
        match Target::of(text) {
            Target::Object(_, Resource::Itself) => Ok(address),
            _ => Err(AddressError::Resource(text.to_owned())),
        }
    }

    /// Joins an address from parts that are known to be good.
    #[must_use]
    pub fn join(scheme: &str, domain: &str, id: &str) -> Self {
        Self(format!("{scheme}://{domain}/{id}").into())
    }

    /// The address of the node's subscription manager, where objects are claimed.
    #[must_use]
    pub fn subscription_manager(domain: &str) -> Self {
        Self(format!("domain://msg-node.{domain}/sm").into())
    }

    /// This address with `/` and `resource` behind it.
    #[must_use]
    pub fn resource(&self, resource: &str) -> String {
        format!("{}/{resource}", self.0)
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before `://`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// What stands between `://` and the next `/`.
    #[must_use]
    pub fn domain(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split_once('/').map_or(rest, |(domain, _)| domain)
    }

    /// What stands behind the domain: one or more path segments.
    #[must_use]
    pub fn id(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split_once('/').map_or("", |(_, id)| id)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Address {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// One of the resources below an object's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The object itself: `read` and `execute` go here.
    Itself,
    /// `/subscription`: `subscribe` and `unsubscribe` go here.
    Subscription,
    /// `/changes`: commits and heads go here.
    Changes,
    /// `/children/<name>`; `/children/` is all names.
    Children(&'a str),
    /// `/registration`: what the registry says of it.
    Registration,
}

/// What an address in `to` names, read without allocating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// The session itself.
    Session,
    /// A service of a node: the part of the domain before the first dot, and the path.
    Service(&'a str),
    /// A hyperty or a runtime, or something below it.
    Peer(&'a str),
    /// Somebody, by identity.
    Person(&'a str),
    /// An object, and which of its resources.
    Object(&'a str, Resource<'a>),
    /// Nothing that a node routes to.
    Nothing,
}

impl<'a> Target<'a> {
    /// Reads `to`. Resources are read from the right (protocol.md §1).
    #[must_use]
    pub fn of(to: &'a str) -> Self {
        if to == SESSION {
            return Self::Session;
        }
        match to.split_once("://") {
            None | Some(("mn" | "global" | "hyperty-catalogue", _)) => Self::Nothing,
            Some(("user" | "user-guid", _)) => Self::Person(to),
            Some(("domain", service)) => Self::Service(service),
            Some(("hyperty" | "hyperty-runtime" | "runtime", _)) => Self::Peer(to),
            Some(_) => Self::object(to),
        }
    }

    fn object(to: &'a str) -> Self {
        let split = |resource| to.strip_suffix(resource);
        if let Some(object) = split("/changes") {
            Self::Object(object, Resource::Changes)
        } else if let Some(object) = split("/subscription") {
            Self::Object(object, Resource::Subscription)
        } else if let Some(object) = split("/registration") {
            Self::Object(object, Resource::Registration)
        } else if let Some((object, name)) = to.rsplit_once("/children/")
            && !name.contains('/')
        {
            Self::Object(object, Resource::Children(name))
        } else {
            Self::Object(to, Resource::Itself)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_scheme_domain_and_id() {
        let room = Address::parse("ctxt://example.com/room/temperature").unwrap();
        assert_eq!(
            (room.scheme(), room.domain(), room.id()),
            ("ctxt", "example.com", "room/temperature")
        );
        for bad in [
            "",
            "kitchen",
            "ctxt:/x",
            "://d/x",
            "CTXT://d/x",
            "ctxt:///x",
            "ctxt://d/a b",
            "ctxt://d/a//b",
            "ctxt://d/x/",
        ] {
            assert_eq!(
                Address::parse(bad),
                Err(AddressError::Form(bad.to_owned())),
                "{bad}"
            );
        }
        let long = format!("ctxt://d/{}", "x".repeat(ADDRESS_BYTES_MAX));
        assert_eq!(
            Address::parse(&long),
            Err(AddressError::TooLong(long.len()))
        );
    }

    #[test]
    fn an_object_has_no_reserved_scheme_and_does_not_end_like_a_resource() {
        assert!(Address::object("ctxt://d/kitchen").is_ok());
        assert!(matches!(
            Address::object("hyperty://d/x"),
            Err(AddressError::Reserved(_))
        ));
        assert!(matches!(
            Address::object("ctxt://d"),
            Err(AddressError::Form(_))
        ));
        for bad in [
            "ctxt://d/x/changes",
            "ctxt://d/x/subscription",
            "ctxt://d/x/children/chat",
        ] {
            assert!(
                matches!(Address::object(bad), Err(AddressError::Resource(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_target_is_read_from_the_right() {
        assert_eq!(Target::of("mn:/session"), Target::Session);
        assert_eq!(
            Target::of("domain://msg-node.d/sm"),
            Target::Service("msg-node.d/sm")
        );
        assert_eq!(Target::of("hyperty://d/h"), Target::Peer("hyperty://d/h"));
        assert_eq!(
            Target::of("comm://d/a/children/x/changes"),
            Target::Object("comm://d/a/children/x", Resource::Changes)
        );
        assert_eq!(
            Target::of("comm://d/a/children/chat"),
            Target::Object("comm://d/a", Resource::Children("chat"))
        );
        assert_eq!(Target::of("user://idp/x"), Target::Person("user://idp/x"));
        assert_eq!(Target::of("nonsense"), Target::Nothing);
    }
}
