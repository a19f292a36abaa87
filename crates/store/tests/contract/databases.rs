//! Databases on the MongoDB server that the tests are given, one per case.

use carillon_store::mongo::{MongoOptions, MongoStore};
use mongodb::{Client, bson::oid::ObjectId};

/// Names the server: `mongodb://host:port/`.
const VARIABLE: &str = "CARILLON_TEST_MONGODB_URI";

/// An empty database of its own. Dropped with this.
#[derive(Debug)]
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test has no settings")]
        let server = std::env::var(VARIABLE)
            .map_err(|_| format!("{VARIABLE} must name a MongoDB server, as mongodb://127.0.0.1:27017/"))
            .unwrap();
        Self {
            server,
            name: format!("carillon_test_{}", ObjectId::new()),
        }
    }

    /// The address of the database.
    pub(crate) fn uri(&self) -> String {
        let (server, options) = self.server.split_once('?').unwrap_or((&self.server, ""));
        format!("{}/{}?{options}", server.trim_end_matches('/'), self.name)
    }

    /// A node's store on it.
    pub(crate) async fn connect(&self, options: MongoOptions) -> MongoStore {
        MongoStore::connect(&self.uri(), options).await.unwrap()
    }

    /// The database itself, past any store.
    pub(crate) async fn raw(&self) -> mongodb::Database {
        Client::with_uri_str(self.uri())
            .await
            .unwrap()
            .database(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Of its own, because the test's runtime may be going or none.
        let dropping = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime
                .unwrap()
                .block_on(async { self.raw().await.drop().await.unwrap() });
        };
        std::thread::scope(|scope| {
            let dropped = scope.spawn(dropping).join();
            // A second panic would hide the first.
            assert!(dropped.is_ok() || std::thread::panicking());
        });
    }
}
