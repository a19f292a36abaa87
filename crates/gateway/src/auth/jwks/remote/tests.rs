use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};

use jsonwebtoken::Algorithm;
use rstest::rstest;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{super::Named, server::Server, *};
use crate::auth::JwksSource;

const ED25519: &str = "FCWqmJHTwTXgZHyHdNriCjibVR_apIaT53fV6OIAJy0";
/// Longer than any test waits, and shorter than the next fetch that is not asked for.
const MOMENT: Duration = Duration::from_millis(1);

pub(super) fn set_of(kid: &str) -> String {
    format!(r#"{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "x": "{ED25519}", "kid": "{kid}"}}]}}"#)
}

fn jwks(url: &str) -> Arc<Jwks> {
    Arc::new(Jwks::new(JwksSource::Url(JwksUrl::parse(url).unwrap())))
}

fn has(jwks: &Jwks, kid: &str) -> bool {
    jwks.current().named(kid, Algorithm::EdDSA) == Named::Key
}

fn good(kid: &str, max_age: Option<u64>) -> Result<Fetched, String> {
    Ok(Fetched {
        text: set_of(kid).into_bytes(),
        max_age: max_age.map(Duration::from_secs),
    })
}

/// A set that is followed by fetches which answer what they are told, one after the other.
struct Followed {
    jwks: Arc<Jwks>,
    answers: mpsc::Sender<Result<Fetched, String>>,
    fetches: Arc<AtomicUsize>,
}

impl Followed {
    fn new() -> Self {
        let (answers, told) = mpsc::channel(100);
        let (jwks, fetches) = (jwks("https://issuer.example/keys"), Arc::new(AtomicUsize::new(0)));
        let (followed, counted) = (Arc::clone(&jwks), Arc::clone(&fetches));
        TaskTracker::new().spawn(async move {
            let remote = Remote::new(JwksUrl::parse("https://issuer.example/keys").unwrap());
            let told = Arc::new(tokio::sync::Mutex::new(told));
            let fetch = || {
                counted.fetch_add(1, Ordering::SeqCst);
                let told = Arc::clone(&told);
                async move { told.lock().await.recv().await.unwrap() }
            };
            remote.follow_by(&followed, fetch).await;
        });
        Self {
            jwks,
            answers,
            fetches,
        }
    }

    fn count(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    async fn answer(&self, answer: Result<Fetched, String>) {
        self.answers.send(answer).await.unwrap();
        time::sleep(MOMENT).await;
    }

    /// How long it takes until the next fetch.
    async fn next_fetch(&self) -> Duration {
        let (before, begun) = (self.count(), Instant::now());
        while self.count() == before {
            time::sleep(Duration::from_millis(100)).await;
        }
        begun.elapsed()
    }
}

fn is_about(time: Duration, expected: Duration) -> bool {
    time.abs_diff(expected) < Duration::from_millis(200)
}

#[rstest]
#[case(None, USUAL_INTERVAL)]
#[case(Some(0), LEAST_INTERVAL)]
#[case(Some(299), LEAST_INTERVAL)]
#[case(Some(1_800), Duration::from_secs(1_800))]
#[case(Some(u64::MAX), MOST_INTERVAL)]
#[tokio::test(start_paused = true)]
async fn the_next_fetch_is_due_as_the_answer_says_within_bounds(
    #[case] max_age: Option<u64>,
    #[case] expected: Duration,
) {
    let followed = Followed::new();
    time::sleep(MOMENT).await;
    followed.answer(good("old", max_age)).await;
    let time = followed.next_fetch().await;
    assert!(is_about(time, expected), "{time:?}");

    followed.answer(good("new", None)).await;
    assert!(has(&followed.jwks, "new") && !has(&followed.jwks, "old"));
    assert_eq!(followed.jwks.freshness().1, [2, 0]);
}

#[tokio::test(start_paused = true)]
async fn while_fetches_fail_the_last_good_keys_stay_and_the_pauses_grow() {
    let followed = Followed::new();
    time::sleep(MOMENT).await;
    followed.answer(good("good", None)).await;
    followed.next_fetch().await;
    let broken = || Fetched {
        text: b"<html>".to_vec(),
        max_age: Some(MOST_INTERVAL),
    };
    for (failures, seconds) in [5, 10, 20, 40, 80, 160, 300, 300].into_iter().enumerate() {
        let failure = if failures % 2 == 0 {
            Err(String::from("away"))
        } else {
            Ok(broken())
        };
        followed.answer(failure).await;
        assert!(has(&followed.jwks, "good"));
        let time = followed.next_fetch().await;
        assert!(is_about(time, Duration::from_secs(seconds)), "{time:?}");
    }
    let (age, looks) = followed.jwks.freshness();
    assert!(
        age > Duration::from_secs(900) && looks == [1, 8],
        "{age:?}, {looks:?}"
    );

    followed.answer(good("new", None)).await;
    assert!(has(&followed.jwks, "new"));
    followed.next_fetch().await;
    followed.answer(Err(String::from("away"))).await;
    assert!(is_about(followed.next_fetch().await, FIRST_PAUSE));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_keys_is_one_fetch_a_minute_and_never_two_at_once() {
    let followed = Followed::new();
    time::sleep(MOMENT).await;
    followed.answer(good("old", None)).await;
    let flood = || (0..1_000).for_each(|_| followed.jwks.miss());
    assert_eq!(followed.count(), 1);

    flood();
    time::sleep(MOMENT).await;
    assert_eq!(followed.count(), 2);
    // It is not answered yet.
    flood();
    time::sleep(Duration::from_secs(600)).await;
    assert_eq!(followed.count(), 2);
    followed.answer(good("new", None)).await;
    assert!(has(&followed.jwks, "new"));
    // What came meanwhile is looked for once, the minute being over.
    assert_eq!(followed.count(), 3);
    followed.answer(good("new", None)).await;

    flood();
    time::sleep(MISS_INTERVAL - Duration::from_secs(1)).await;
    flood();
    assert_eq!(followed.count(), 3);
    assert!(is_about(followed.next_fetch().await, Duration::from_secs(1)));
    followed.answer(good("newest", None)).await;
    assert!(has(&followed.jwks, "newest"));
    assert!(is_about(followed.next_fetch().await, USUAL_INTERVAL));
}

#[tokio::test]
async fn keys_are_there_after_the_first_look_that_works_and_follow_the_server() {
    let server = Server::start().await;
    server.answer("/keys", "503 Service Unavailable", "", "");
    let jwks = jwks(&server.url("/keys"));
    assert!(jwks.first_look().await.unwrap_err().contains("503"));
    server.answer("/keys", "200 OK", "", "[]");
    assert!(jwks.first_look().await.unwrap_err().contains("keys"));
    server.answer(
        "/keys",
        "200 OK",
        "Cache-Control: max-age=600\r\n",
        &set_of("old"),
    );
    jwks.first_look().await.unwrap();
    assert!(has(&jwks, "old"));
    assert_eq!(jwks.freshness().1, [1, 2]);

    server.answer("/keys", "200 OK", "", &set_of("new"));
    let tasks = TaskTracker::new();
    let following = tasks.spawn(Arc::clone(&jwks).keep_fresh());
    for _ in 0..1_000 {
        jwks.miss();
    }
    while !has(&jwks, "new") {
        tokio::task::yield_now().await;
    }
    assert!(!has(&jwks, "old"));
    assert_eq!(server.asked(), 4);
    following.abort();
}
