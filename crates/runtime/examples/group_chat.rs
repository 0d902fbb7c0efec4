//! Three people talk in a room that one of them hosts: everybody writes in their own name, the host moderates,
//! and whoever comes late has all that was said. Run it: `cargo run -p byline --example group_chat`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use byline::{ChildReporter, Children, Create, MemoryNode, Observer, Runtime, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

const ROOM: &str = "comm://localhost/tea";

#[derive(Serialize, Deserialize)]
struct Message {
    name: String,
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in conversation().await? {
        println!("{line}");
    }
    Ok(())
}

/// All that happens, as the last one who came has it.
pub(crate) async fn conversation() -> Result<Vec<String>, Box<dyn Error>> {
    // In place of the node in this process, `.node("ws://…")` speaks with a real one.
    let node = MemoryNode::start("localhost")?;
    let start = || Runtime::builder().memory(&node).start();
    let (ann, bob, eve) = (start()?, start()?, start()?);

    let create = Create::new("Communication", json!({"topic": "tea"}))
        .at(ROOM)
        .public()
        .children("messages");
    let room = ann.syncher("chat")?.create(create)?;
    let anns = room.children("messages");
    let bobs_copy = join(&bob).await?;
    let bobs = bobs_copy.children("messages");

    say(&anns, "Ann", "Is there tea?").await?;
    let mut answer = say(&bobs, "Bob", "There is cofee").await?;
    // Only its author changes a message.
    answer.update(|message| message.text = "There is coffee".to_owned())?;
    answer.safe().await?;
    let rude = say(&bobs, "Bob", "Tea is for the weak!").await?;

    // Only its author and the host remove it.
    anns.remove(rude.id()).await?;
    let eves_copy = join(&eve).await?;
    let eves = eves_copy.children("messages");
    say(&eves, "Eve", "Sorry, I am late").await?;

    // Who is put out is told why, and does not come back.
    room.kick(bob.identity().as_str(), "tea only").await?;
    let mut state = bobs_copy.state();
    let over = state.wait_for(|state| matches!(state, State::Closed(_)));
    let State::Closed(why) = over.await?.clone() else {
        return Err("the room is closed to Bob".into());
    };
    say(&anns, "Ann", "More tea for us").await?;

    let mut changes = eves.changes();
    while eves.list().len() < 4 {
        changes.next().await.ok_or("the room is closed")?;
    }
    let mut told = Vec::new();
    for (_, message) in eves.list() {
        let said: Message = serde_json::from_value((*message.value).clone())?;
        told.push(format!("{}: {}", said.name, said.text));
    }
    told.push(format!("Bob has left: {}", why.desc));
    Ok(told)
}

/// Observes the room, and waits until all that was said is here.
async fn join(runtime: &Runtime) -> Result<Observer, Box<dyn Error>> {
    let room = runtime.syncher("chat")?.subscribe(ROOM)?;
    room.state().wait_for(|state| *state == State::Live).await?;
    Ok(room)
}

/// Writes a message, and waits until it is safe: whoever reads after that has it.
async fn say(
    messages: &Children<Message>,
    name: &str,
    text: &str,
) -> Result<ChildReporter<Message>, Box<dyn Error>> {
    let mut said = messages.add(Message {
        name: name.to_owned(),
        text: text.to_owned(),
    })?;
    said.safe().await?;
    Ok(said)
}
