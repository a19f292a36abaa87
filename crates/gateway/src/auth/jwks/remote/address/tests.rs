use rstest::rstest;

use super::{
    super::{server::Server, tests::set_of},
    *,
};

const SHORT: Bounds = Bounds {
    connect: Duration::from_millis(300),
    whole: Duration::from_millis(300),
};

/// For servers that answer.
const LONG: Bounds = Bounds {
    connect: Duration::from_secs(60),
    whole: Duration::from_secs(60),
};

async fn fetch(url: &str) -> Result<Fetched, String> {
    JwksUrl::parse(url).unwrap().fetch(LONG).await
}

#[tokio::test]
async fn an_answer_is_its_body_and_for_how_long_it_is_good() {
    let server = Server::start().await;
    server.answer(
        "/keys?a=b",
        "200 OK",
        "Cache-Control: public, max-age=600\r\n",
        &set_of("k"),
    );
    let fetched = fetch(&server.url("/keys?a=b")).await.unwrap();
    assert_eq!(fetched.text, set_of("k").into_bytes());
    assert_eq!(fetched.max_age, Some(Duration::from_secs(600)));
    let head = server.last_head().to_ascii_lowercase();
    assert!(
        head.contains("user-agent: carillon/") && head.contains("accept: application/jwk-set+json"),
        "{head}"
    );
}

#[rstest]
#[case("404 Not Found")]
#[case("500 Internal Server Error")]
#[case("204 No Content")]
#[case("304 Not Modified")]
#[tokio::test]
async fn any_status_but_200_is_no_answer(#[case] status: &str) {
    let server = Server::start().await;
    server.answer("/keys", status, "", "");
    assert!(fetch(&server.url("/keys")).await.unwrap_err().contains(status));
}

#[rstest]
#[case::no_http("hello\r\n\r\n")]
#[case::nothing("")]
#[case::cut_off("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")]
#[case::bad_chunks("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")]
#[tokio::test]
async fn junk_is_an_error_that_names_no_secret(#[case] answer: &str) {
    let server = Server::start().await;
    server.answer_raw("/keys?hunter2", answer, false);
    let url = server.url("/keys?hunter2").replace("//", "//me:hunter2@");
    let reason = fetch(&url).await.unwrap_err();
    assert!(!reason.contains("hunter2"), "{reason}");
}

#[tokio::test]
async fn nobody_there_is_an_error_with_its_cause() {
    let reason = fetch("http://127.0.0.1:1/keys").await.unwrap_err();
    assert!(reason.contains("refused"), "{reason}");
}

#[rstest]
#[case::before_the_head("")]
#[case::in_the_head("HTTP/1.1 200 OK\r\n")]
#[case::in_the_body("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")]
#[tokio::test]
async fn a_server_that_hangs_is_given_up(#[case] answer: &str) {
    let server = Server::start().await;
    server.answer_raw("/keys", answer, true);
    let url = JwksUrl::parse(&server.url("/keys")).unwrap();
    let reason = url.fetch(SHORT).await.unwrap_err();
    assert!(reason.contains("timed out"), "{reason}");
}

#[tokio::test]
async fn a_body_may_have_256_kib_with_a_length_and_without() {
    let server = Server::start().await;
    server.answer("/full", "200 OK", "", &" ".repeat(MAX_BYTES));
    assert_eq!(fetch(&server.url("/full")).await.unwrap().text.len(), MAX_BYTES);
    let body = " ".repeat(MAX_BYTES + 1);
    server.answer("/told", "200 OK", "", &body);
    server.answer_raw("/untold", format!("HTTP/1.1 200 OK\r\n\r\n{body}"), true);
    for path in ["/told", "/untold"] {
        assert!(
            fetch(&server.url(path))
                .await
                .unwrap_err()
                .contains("262144 bytes")
        );
    }
}

#[tokio::test]
async fn three_redirects_are_followed_and_no_more() {
    let server = Server::start().await;
    for (from, to) in [("/4", "/3"), ("/3", "/2"), ("/2", "/1"), ("/1", "/keys")] {
        server.answer(from, "302 Found", &format!("Location: {to}\r\n"), "");
    }
    server.answer("/loop", "302 Found", "Location: /loop\r\n", "");
    server.answer("/keys", "200 OK", "", &set_of("k"));
    assert!(fetch(&server.url("/3")).await.is_ok());
    assert!(
        fetch(&server.url("/4"))
            .await
            .unwrap_err()
            .contains("more than 3 redirects")
    );
    let asked = server.asked();
    assert!(
        fetch(&server.url("/loop"))
            .await
            .unwrap_err()
            .contains("more than 3 redirects")
    );
    assert_eq!(server.asked(), asked + 4);
}

#[tokio::test]
async fn a_redirect_leads_to_https_or_keeps_its_scheme() {
    let server = Server::start().await;
    // Nobody speaks TLS there: it fails by that, and not by the redirect.
    let to = |place: String| format!("Location: {place}\r\n");
    server.answer(
        "/up",
        "301 Moved",
        &to(server.url("/keys").replace("http", "https")),
        "",
    );
    let reason = fetch(&server.url("/up")).await.unwrap_err();
    assert!(!reason.contains("redirect"), "{reason}");
    server.answer(
        "/away",
        "301 Moved",
        &to(String::from("ftp://127.0.0.1/keys")),
        "",
    );
    assert!(fetch(&server.url("/away")).await.is_err());

    let may = |from: &str, to: &str| {
        let [from, to] = [from, to].map(|text| Url::parse(text).unwrap());
        is_allowed(Some(&from), &to)
    };
    assert!(
        may("http://a/", "https://b/") && may("https://a/", "https://b/") && may("http://a/", "http://b/")
    );
    assert!(!may("https://a/", "http://a/") && !may("http://a/", "ftp://a/"));
}

#[rstest]
#[case("", None)]
#[case("max-age=600", Some(600))]
#[case("Public, Max-Age=\"600\"", Some(600))]
#[case("s-maxage=5, max-age=600, must-revalidate", Some(600))]
#[case("max-age=600, no-cache", Some(0))]
#[case("no-store", Some(0))]
#[case("max-age=-1", None)]
#[case("max-age=99999999999999999999999", None)]
#[case("max-age", None)]
fn how_long_an_answer_is_good(#[case] header: &str, #[case] seconds: Option<u64>) {
    let headers = HeaderMap::from_iter([(CACHE_CONTROL, header.parse().unwrap())]);
    assert_eq!(max_age(&headers), seconds.map(Duration::from_secs));
    assert_eq!(max_age(&HeaderMap::new()), None);
}

#[rstest]
#[case("https://issuer.example/keys", "https://issuer.example/keys")]
#[case("HTTPS://Issuer.example:443", "https://issuer.example/")]
#[case("http://[::1]:8080/a/b", "http://[::1]:8080/a/b")]
#[case(
    "https://me:hunter2@issuer.example/keys?token=hunter2#hunter2",
    "https://issuer.example/keys?…"
)]
fn an_address_is_shown_without_what_lets_one_in(#[case] given: &str, #[case] shown: &str) {
    assert!(JwksUrl::is_one(given));
    let url = JwksUrl::parse(given).unwrap();
    assert_eq!(url.to_string(), shown);
    assert_eq!(format!("{url:?}"), format!("JwksUrl({shown})"));
}

#[test]
fn only_http_and_https_are_addresses() {
    for path in [
        "keys.json",
        "/etc/keys.json",
        "file:///etc/keys.json",
        "ftp://a/b",
        "http:/a",
        "",
    ] {
        assert!(!JwksUrl::is_one(path), "{path}");
    }
    for bad in ["https://", "http://a:99999/", "http:// a/"] {
        assert!(JwksUrl::is_one(bad) && JwksUrl::parse(bad).is_none(), "{bad}");
    }
}

#[rstest]
#[case("https://issuer.example/", true)]
#[case("http://127.3.2.1/", true)]
#[case("http://[::1]:80/", true)]
#[case("http://localhost/", true)]
#[case("http://localhost.example/", false)]
#[case("http://10.0.0.1/", false)]
fn https_and_this_machine_are_secure(#[case] url: &str, #[case] secure: bool) {
    assert_eq!(JwksUrl::parse(url).unwrap().is_secure(), secure);
}
