//! Why a call of an application cannot be.

use super::ChildError;
use crate::address::{Address, AddressError};
use crate::stream::WriteError;

/// Why a call did nothing. It is the caller's to mend.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The initial data cannot be.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Its children cannot be.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The address cannot be.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The object belongs to a domain that this runtime has no node of.
    #[error("`{url}` is of another domain: this runtime speaks with the node of {domain}")]
    OtherDomain {
        /// The object.
        url: Address,
        /// The runtime's domain.
        domain: String,
    },
    /// This runtime reports the object already.
    #[error("`{0}` is reported by this runtime already: use the Reporter that it has")]
    Reported(Address),
    /// This hyperty reports no such object, or no longer.
    #[error("`{0}` is not reported by this hyperty: only its Reporter commands about it")]
    NotReported(Address),
    /// The object is this runtime's alone.
    #[error("`{0}` is local: its readers are this runtime's own")]
    Local(Address),
    /// There is nowhere to store it.
    #[error("this runtime has no store: start it with one, or leave `store` out")]
    NoStore,
    /// More commands than may wait.
    #[error(
        "{} commands are not answered: wait for one",
        crate::limits::COMMANDS_MAX
    )]
    Commands,
    /// Who is invited was put out.
    #[error("`{0}` is denied: allow it before it is invited")]
    Denied(Address),
    /// Nobody is known to be behind the hyperty.
    #[error("who `{0}` is of is not known: name the identity, or let it observe first")]
    Unknown(Address),
    /// This hyperty does not observe the object.
    #[error("`{0}` is not observed by this hyperty: only a reader asks its application")]
    NotObserved(Address),
    /// This hyperty observes the object already.
    #[error("`{0}` is observed by this hyperty already: clone the Observer that it has")]
    Observed(Address),
}
