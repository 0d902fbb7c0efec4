//! Who observes an object, as its Reporter's application is told.

use byline::{Create, PresenceChange};
use serde_json::json;

use crate::common::{OBJECT, bounded, node, observe, report, runtime};

#[tokio::test]
async fn each_follower_is_told_who_comes_and_who_goes() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let mut first = reporter.presence();
        let observer = observe(&bob).await;
        let hyperty = bob.syncher("observe").unwrap().hyperty().clone();
        let joined = PresenceChange::Joined {
            hyperty: hyperty.clone(),
            identity: Some(bob.identity()),
            count: 1,
        };
        assert_eq!(first.next().await, Some(joined.clone()));
        let audience = reporter.observers();
        assert_eq!((audience.count(), audience.known().unwrap().len()), (1, 1));
        let page = reporter.observers_after(None).await.unwrap();
        assert_eq!(
            (page.count, page.observers[0].hyperty.clone()),
            (1, hyperty.clone())
        );
        // Who comes later begins with those who are there.
        let mut second = reporter.presence();
        assert_eq!(second.next().await, Some(joined));
        let goes = tokio::spawn(async move { (first.next().await, second.next().await) });
        observer.unsubscribe();
        let left = Some(PresenceChange::Left { hyperty, count: 0 });
        assert_eq!(goes.await.unwrap(), (left.clone(), left));
        assert_eq!(reporter.observers().count(), 0);
    })
    .await;
}

#[tokio::test]
async fn presence_ends_with_its_reporter() {
    bounded(async {
        let node = node();
        let ann = runtime(&node);
        let create = Create::new("Context", json!({})).at(OBJECT).local();
        let reporter = ann.syncher("report").unwrap().create(create).unwrap();
        let observer = observe(&ann).await;
        let mut presence = reporter.presence();
        assert!(matches!(
            presence.next().await,
            Some(PresenceChange::Joined { .. })
        ));
        let ended = tokio::spawn(async move { presence.next().await });
        tokio::task::yield_now().await;
        reporter.delete().await.unwrap();
        assert_eq!(ended.await.unwrap(), None);
        assert!(reporter.observers_after(None).await.is_err());
        drop(observer);
    })
    .await;
}
