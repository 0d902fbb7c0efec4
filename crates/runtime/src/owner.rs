//! An owner's commands about an object that another process, or another device, reports.

use std::sync::Arc;

use byline_core::address::Address;
use byline_core::message::body::{Access, Command};
use byline_core::runtime::CallError;
use tokio::sync::oneshot;

use crate::commands::CommandError;
use crate::shared::Alive;
use crate::syncher::Syncher;
use crate::{Refusal, shared};

/// Who commands about an object without reporting it, made by [`Syncher::owner`]: the node does so for
/// every session of an identity that owns the object, and tells the Reporter. Each of these gives who may
/// read from then on, and waits through cuts until it is answered.
///
/// ```
/// # use byline::{Create, MemoryNode, Runtime};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = MemoryNode::start("localhost")?;
/// # let folder = std::env::temp_dir().join(format!("byline-owner-{}", std::process::id()));
/// # let start = || Runtime::builder().memory(&node).key_file(folder.join("key")).start();
/// // Two programs with one key.
/// let (desk, phone) = (start()?, start()?);
/// # std::fs::remove_dir_all(&folder)?;
/// let diary = desk.syncher("diary")?.create(Create::new("Context", serde_json::json!({"n": 1})))?;
/// diary.claimed().await?;
///
/// let owner = phone.syncher("phone")?.owner(diary.url().as_str())?;
/// let access = owner.kick("user-guid://somebody", "not for you").await?;
/// assert_eq!(access.deny, ["user-guid://somebody"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Owner {
    alive: Arc<Alive>,
    object: Address,
}

impl Syncher {
    /// The owner's side of the object at `url`. Whether this identity owns it, the node says to each
    /// command.
    ///
    /// # Errors
    /// [`CallError`] when the address cannot be.
    pub fn owner(&self, url: &str) -> Result<Owner, CallError> {
        Ok(Owner {
            alive: Arc::clone(&self.alive),
            object: Address::object(url)?,
        })
    }
}

impl Owner {
    /// Puts a reader out, as [`Reporter::kick`](crate::Reporter::kick) does.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn kick(&self, reader: &str, why: &str) -> Result<Access, CommandError> {
        let (object, reader, why) = (self.object.clone(), reader.to_owned(), why.to_owned());
        self.command(Command::Kick(object, reader, 403, why)).await
    }

    /// Takes back that a reader was put out, as [`Reporter::allow`](crate::Reporter::allow) does.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn allow(&self, reader: &str) -> Result<Access, CommandError> {
        let command = Command::Allow(self.object.clone(), reader.to_owned());
        self.command(command).await
    }

    /// Who may read.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn access(&self) -> Result<Access, CommandError> {
        // An owner is never put out, so to allow one changes nothing; the answer says how it is.
        let own = self.alive.0.lock().machine.identity().to_string();
        self.allow(&own).await
    }

    /// Says anew who may read.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn set_access(&self, access: Access) -> Result<Access, CommandError> {
        self.command(Command::Access(self.object.clone(), access))
            .await
    }

    async fn command(&self, command: Command) -> Result<Access, CommandError> {
        let shared = &self.alive.0;
        let (answer, answered) = oneshot::channel();
        {
            let mut inner = shared.lock();
            if let Some(over) = &inner.over {
                return Err(over.clone().into());
            }
            let call = inner
                .machine
                .command_as_owner(command, shared.clock.now())?;
            inner.answers.insert(call, answer);
        }
        shared.wake.notify_one();
        let access = answered.await.map_err(|_| shared::ended())??;
        let misfit = |error| Refusal::malformed(format!("the node's answer: {error}"));
        Ok(serde_json::from_value(access).map_err(misfit)?)
    }
}
