//! An owner commands about an object that another of its devices reports.

use byline::{Access, CommandError, Runtime, State};
use serde_json::json;

use crate::common::{Folder, OBJECT, bounded, closed, node, observe, report, runtime, until};

#[tokio::test]
async fn another_device_of_an_owner_says_who_may_read() {
    bounded(async {
        let (node, folder) = (node(), Folder::new("owners"));
        let device = || {
            let device = Runtime::builder().memory(&node);
            device.key_file(folder.key()).start().unwrap()
        };
        let (desk, phone, bob) = (device(), device(), runtime(&node));
        let reporter = report(&desk, json!({"n": 1})).await;
        let observer = observe(&bob).await;
        let owner = phone.syncher("phone").unwrap().owner(OBJECT).unwrap();
        assert!(owner.access().await.unwrap().public);

        let bobs = bob.identity().to_string();
        let access = owner.kick(&bobs, "not for you").await.unwrap();
        assert_eq!(access.deny, std::slice::from_ref(&bobs));
        assert_eq!(closed(&observer).await.desc, "not for you");
        drop(observer);

        let access = owner.allow(&bobs).await.unwrap();
        assert!(access.deny.is_empty());
        let again = observe(&bob).await;
        let private = owner.set_access(Access::default()).await.unwrap();
        assert_eq!(private, Access::default());
        until(&again, |state| matches!(state, State::Closed(_))).await;
        // The Reporter goes by it too: what it commands is added to that.
        reporter.kick(&bobs, "again").await.unwrap();
        let access = owner.access().await.unwrap();
        assert_eq!((access.public, access.deny), (false, vec![bobs]));
    })
    .await;
}

#[tokio::test]
async fn who_owns_nothing_commands_nothing() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let _reporter = report(&ann, json!({"n": 1})).await;
        let owner = bob.syncher("bob").unwrap().owner(OBJECT).unwrap();
        let refused = owner.set_access(Access::default()).await.unwrap_err();
        assert!(
            matches!(&refused, CommandError::Refused(refusal) if refusal.code == 403),
            "{refused}"
        );
        bob.close().await;
        let over = owner.access().await.unwrap_err();
        assert!(matches!(over, CommandError::Refused(_)), "{over}");
    })
    .await;
}
