//! Many authors in one object: what each of them adds reaches everybody, in one order.

use byline::{
    ChildChangeKind, ChildReporter, Children, ChildrenChanges, ChildrenStep, Create, Reporter,
    Runtime,
};
use serde_json::{Value, json};

use crate::common::{OBJECT, bounded, node, observe, runtime};

async fn room(runtime: &Runtime) -> Reporter {
    let create = Create::new("Communication", json!({"topic": "tea"}))
        .at(OBJECT)
        .public()
        .children("messages");
    let room = runtime.syncher("report").unwrap().create(create).unwrap();
    room.claimed().await.unwrap();
    room
}

/// Follows a collection until it has `count` children, and gives what they say.
async fn until_there_are(
    count: usize,
    changes: &mut ChildrenChanges,
    children: &Children,
) -> Vec<Value> {
    while children.list().len() != count {
        changes.next().await.expect("the object is open");
    }
    let text = |(_, child): (_, byline::Child)| child.value["text"].clone();
    children.list().into_iter().map(text).collect()
}

async fn say(children: &Children, text: &str) -> ChildReporter {
    let mut said = children.add(json!({"text": text})).unwrap();
    said.safe().await.unwrap();
    said
}

#[tokio::test]
async fn everybody_has_what_everybody_adds_in_one_order() {
    bounded(async {
        let node = node();
        let (ann, bob, eve) = (runtime(&node), runtime(&node), runtime(&node));
        let room = room(&ann).await;
        let (bobs, eves) = (observe(&bob).await, observe(&eve).await);
        let all: [Children; 3] = [
            room.children("messages"),
            bobs.children("messages"),
            eves.children("messages"),
        ];
        for (author, text) in [(0, "one"), (1, "two"), (2, "three"), (1, "four")] {
            say(&all[author], text).await;
        }
        for children in &all {
            let mut changes = children.changes();
            let said = until_there_are(4, &mut changes, children).await;
            assert_eq!(said.len(), 4, "{said:?}");
        }
        let ids = |children: &Children| {
            children
                .list()
                .into_iter()
                .map(|(id, _)| id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&all[0]), ids(&all[1]));
        assert_eq!(ids(&all[1]), ids(&all[2]));
        let late = observe(&runtime(&node)).await;
        assert_eq!(
            ids(&late.children("messages")),
            ids(&all[0]),
            "whoever joins late has all"
        );
        let of = |id: &byline::ChildId| all[0].child(id).unwrap().identity.unwrap();
        assert!(
            ids(&all[0]).iter().any(|id| of(id) == bob.identity()),
            "the node says who wrote"
        );
    })
    .await;
}

#[tokio::test]
async fn only_its_author_changes_a_child_and_the_reporter_removes_any() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let room = room(&ann).await;
        let joined = observe(&bob).await;
        let (anns, bobs): (Children, Children) =
            (room.children("messages"), joined.children("messages"));
        let mut changes = anns.changes();
        assert_eq!(changes.next().await, Some(ChildrenStep::All(vec![])));
        let mut said = say(&bobs, "helo").await;
        assert!(
            said.update(|message| message["text"] = json!("hello"))
                .unwrap()
        );
        said.safe().await.unwrap();
        assert_eq!(anns.child(said.id()).unwrap().value["text"], "hello");
        assert!(anns.own(said.id()).is_none(), "it is another's");

        anns.remove(said.id()).await.unwrap();
        let mut seen = Vec::new();
        while let Some(ChildrenStep::Changed(step)) = changes.next().await {
            let gone = matches!(
                step.changes[0].kind,
                ChildChangeKind::Removed { moderated: true }
            );
            seen.push(step);
            if gone {
                break;
            }
        }
        assert_eq!(seen.len(), 3, "added, updated, removed");
        let mut at_bob = bobs.changes();
        while bobs.child(said.id()).is_some() {
            at_bob.next().await.expect("the object is open");
        }
        assert!(
            said.update(|message| message["text"] = json!("again"))
                .is_err()
        );
    })
    .await;
}

#[tokio::test]
async fn a_closed_collection_takes_nothing_more_but_from_the_reporter() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let room = room(&ann).await;
        let joined = observe(&bob).await;
        let (anns, bobs): (Children, Children) =
            (room.children("messages"), joined.children("messages"));
        assert!(bobs.close().await.is_err(), "only the Reporter closes");
        anns.close().await.unwrap();
        let mut refused = bobs.add(json!({"text": "too late"})).unwrap();
        let refusal = refused.safe().await.unwrap_err();
        assert_eq!(refusal.code, 403, "{refusal}");
        assert!(refused.data().is_err(), "it is undone");
        say(&anns, "that was all").await;
        anns.open().await.unwrap();
        say(&bobs, "not quite").await;
        assert_eq!(anns.list().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_is_said_by_the_way_reaches_everybody_and_stays_nowhere() {
    bounded(async {
        let node = node();
        let (ann, bob, eve) = (runtime(&node), runtime(&node), runtime(&node));
        let room = room(&ann).await;
        let (bobs, eves) = (observe(&bob).await, observe(&eve).await);
        let (anns, bobs, eves): (Children, Children, Children) = (
            room.children("messages"),
            bobs.children("messages"),
            eves.children("messages"),
        );
        let (mut at_ann, mut at_eve) = (anns.events(), eves.events());
        bobs.send_event(json!({"typing": true})).unwrap();
        for heard in [at_ann.next().await.unwrap(), at_eve.next().await.unwrap()] {
            assert_eq!(heard.value, json!({"typing": true}));
            assert_eq!(heard.identity, Some(bob.identity()));
        }
        assert!(anns.list().is_empty());
    })
    .await;
}
