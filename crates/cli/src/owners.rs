//! `byline invite`, `byline kick`, `byline access`: what an owner says about an object that another process
//! reports.

use anyhow::{anyhow, bail};
use byline::{Access, Address, CommandError, Owner};
use clap::Args;

use crate::SessionArgs;
use crate::output::{Event, Printer};
use crate::session::{start, token_wanted};

#[derive(Debug, Args)]
pub(crate) struct InviteArgs {
    /// The object's address, as in comm://localhost/tea
    url: String,
    /// Whom to let in: an identity (user://…, user-guid://…), or the address of a hyperty
    #[arg(required = true)]
    who: Vec<String>,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Debug, Args)]
pub(crate) struct KickArgs {
    /// The object's address, as in comm://localhost/tea
    url: String,
    /// Whom to put out: an identity, or the address of a hyperty, whose identity is put out
    who: String,
    /// What they are told
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// The object's address, as in comm://localhost/tea
    url: String,
    /// Let in everybody whom the node knows
    #[arg(long)]
    public: bool,
    /// Let in nobody but those who are authorised
    #[arg(long, conflicts_with = "public")]
    private: bool,
    /// Let this identity or hyperty in, even if it was put out
    #[arg(long, value_name = "WHO")]
    authorise: Vec<String>,
    /// Keep this identity or hyperty out, whatever else is said
    #[arg(long, value_name = "WHO")]
    deny: Vec<String>,
    #[command(flatten)]
    session: SessionArgs,
}

pub(crate) async fn invite(args: InviteArgs) -> anyhow::Result<()> {
    known(&args.who)?;
    as_owner(&args.url, &args.session, async |owner| {
        let mut access = owner.access().await?;
        let denied = args.who.iter().find(|who| access.deny.contains(who));
        if let Some(who) = denied {
            bail!("{who} was put out: `byline access … --authorise WHO` takes that back");
        }
        authorise(&mut access, &args.who);
        Ok(owner.set_access(access).await?)
    })
    .await
}

pub(crate) async fn kick(args: KickArgs) -> anyhow::Result<()> {
    known(std::slice::from_ref(&args.who))?;
    as_owner(&args.url, &args.session, async |owner| {
        Ok(owner.kick(&args.who, &args.why).await?)
    })
    .await
}

pub(crate) async fn access(args: AccessArgs) -> anyhow::Result<()> {
    known(&args.authorise)?;
    known(&args.deny)?;
    as_owner(&args.url, &args.session, async |owner| {
        let before = owner.access().await?;
        let mut access = before.clone();
        access.public = (access.public || args.public) && !args.private;
        access.deny.retain(|who| !args.authorise.contains(who));
        authorise(&mut access, &args.authorise);
        access.authorise.retain(|who| !args.deny.contains(who));
        let new = args.deny.iter().filter(|who| !before.deny.contains(who));
        access.deny.extend(new.cloned());
        if access == before {
            return Ok(before);
        }
        Ok(owner.set_access(access).await?)
    })
    .await
}

/// Why `--public` has done nothing for an object that goes on as it was stored, when that is so. It is told and not
/// done: a script that runs again must not open what its owner has closed.
pub(crate) async fn stays_private(owner: &Owner) -> Option<String> {
    // A node that does not tell has been told by the claim.
    let access = owner.access().await.ok()?;
    let why = "it goes on as it was stored, which is not for everybody: `byline access URL --public` changes that";
    (!access.public).then(|| why.to_owned())
}

fn authorise(access: &mut Access, who: &[String]) {
    for who in who {
        if !access.authorise.contains(who) {
            access.authorise.push(who.clone());
        }
    }
}

/// What is no address would be somebody who never comes.
fn known(who: &[String]) -> anyhow::Result<()> {
    who.iter()
        .try_for_each(|who| Address::parse(who).map(drop))
        .map_err(Into::into)
}

/// Has an owner do something, and prints who may read after it.
async fn as_owner(
    url: &str,
    args: &SessionArgs,
    done: impl AsyncFnOnce(Owner) -> anyhow::Result<Access>,
) -> anyhow::Result<()> {
    let url = Address::object(url)?;
    let runtime = start(args, &url).await?;
    let owner = runtime.syncher("owner")?.owner(url.as_str())?;
    let access = tokio::select! {
        access = done(owner) => access.map_err(|error| match error.downcast::<CommandError>() {
            Ok(refused) => anyhow!("{url}: {refused}"),
            Err(other) => other,
        }),
        why = token_wanted(&runtime, args) => Err(why),
    };
    runtime.close().await;
    let event = Event::Access {
        url: url.as_str(),
        access: &access?,
    };
    Ok(Printer::new(args.json).print(&event)?)
}
