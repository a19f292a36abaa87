//! A look at a database of MongoDB, and whether it can be used; what is missing in it is not made.

use mongodb::{
    Database, IndexModel,
    bson::{Bson, Document, doc, oid::ObjectId},
};
use tokio::time::timeout;

use super::{
    MongoOptions, OpenError, database,
    error::Failure,
    schema::{self, MESSAGES, META},
};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The server's name and version: `MongoDB 8.0.4`.
    pub server: String,
    /// How it is set up: `standalone`, `replica set rs0`, `sharded cluster`.
    pub setup: String,
    /// The database's name.
    pub database: String,
    /// The server's clock, in milliseconds since 1970; `None` where it does not tell.
    pub time_ms: Option<i64>,
    /// Whether a node has ever used the database.
    pub is_prepared: bool,
    /// Indexes that a node will make when it starts, as `collection: keys`. Of a database that was never used: none.
    pub missing_indexes: Vec<String>,
}

/// Looks at the database that `uri` names, and writes into it and takes back what it wrote.
///
/// # Errors
/// See [`OpenError`]; [`OpenError::Unavailable`] also where nothing can be written.
pub async fn inspect(uri: &str) -> Result<Inspection, OpenError> {
    let options = MongoOptions::default();
    let database = database(uri, &options).await?;
    let look = timeout(options.timeout, look(&database)).await;
    look.unwrap_or_else(|_| Err(Failure::late().into()))
}

async fn look(database: &Database) -> Result<Inspection, OpenError> {
    let ask = async |command: &str| database.run_command(doc! { command: 1 }).await;
    let hello = ask("hello").await.map_err(Failure::from)?;
    let build = ask("buildInfo").await.map_err(Failure::from)?;
    let names = database.list_collection_names().await.map_err(Failure::from)?;
    let is_there = |name: &str| names.iter().any(|known| known == name);
    if is_there(META) {
        schema::check_version(database).await?;
    }
    let mut missing_indexes = Vec::new();
    for (collection, wanted) in schema::indexes() {
        if is_there(collection) {
            let found = indexes_of(database, collection).await?;
            let missing = wanted.iter().filter(|index| !found.contains(&traits(index)));
            missing_indexes.extend(missing.map(|index| format!("{collection}: {}", index.keys)));
        }
    }
    write(database).await?;
    Ok(Inspection {
        server: server(&build),
        setup: setup(&hello),
        database: database.name().to_owned(),
        time_ms: hello
            .get_datetime("localTime")
            .map(|time| time.timestamp_millis())
            .ok(),
        is_prepared: is_there(MESSAGES),
        missing_indexes,
    })
}

/// Shows that there is a server that takes writes, and that they are allowed.
async fn write(database: &Database) -> Result<(), OpenError> {
    let meta = database.collection::<Document>(META);
    let id = doc! { "_id": format!("check {}", ObjectId::new()) };
    meta.insert_one(id.clone()).await.map_err(Failure::from)?;
    meta.delete_one(id).await.map_err(Failure::from)?;
    Ok(())
}

async fn indexes_of(database: &Database, collection: &str) -> Result<Vec<Traits>, OpenError> {
    let collection = database.collection::<Document>(collection);
    let mut listed = collection.list_indexes().await.map_err(Failure::from)?;
    let mut found = Vec::new();
    while listed.advance().await.map_err(Failure::from)? {
        found.push(traits(&listed.deserialize_current().map_err(Failure::from)?));
    }
    Ok(found)
}

/// What makes an index this one: its keys in their order, and whether they are unique.
type Traits = (Vec<(String, Option<i64>)>, bool);

fn traits(index: &IndexModel) -> Traits {
    // Servers differ in the type of the directions.
    let direction = |value: &Bson| match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        Bson::Double(number) => Some(if *number < 0.0 { -1 } else { 1 }),
        _ => None,
    };
    let keys = index.keys.iter();
    let keys = keys.map(|(key, value)| (key.clone(), direction(value))).collect();
    let is_unique = index.options.as_ref().and_then(|options| options.unique);
    (keys, is_unique.unwrap_or_default())
}

fn server(build: &Document) -> String {
    let version = build.get_str("version").unwrap_or("of an unknown version");
    build.get_document("ferretdb").map_or_else(
        |_| format!("MongoDB {version}"),
        |ferretdb| {
            let own = ferretdb.get_str("version").unwrap_or("of an unknown version");
            format!("FerretDB {own} (as MongoDB {version})")
        },
    )
}

fn setup(hello: &Document) -> String {
    if let Ok(name) = hello.get_str("setName") {
        return format!("replica set {name}");
    }
    match hello.get_str("msg") {
        Ok("isdbgrid") => "sharded cluster".to_owned(),
        _ => "standalone".to_owned(),
    }
}

impl From<Failure> for OpenError {
    fn from(Failure { reason, .. }: Failure) -> Self {
        Self::Unavailable { reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_called_what_they_are() {
        let mongodb = doc! { "version": "8.0.4" };
        let ferretdb = doc! { "version": "7.0.77", "ferretdb": { "version": "v2.7.0" } };
        assert_eq!(server(&mongodb), "MongoDB 8.0.4");
        assert_eq!(server(&ferretdb), "FerretDB v2.7.0 (as MongoDB 7.0.77)");
        assert_eq!(setup(&doc! { "setName": "rs0" }), "replica set rs0");
        assert_eq!(setup(&doc! { "msg": "isdbgrid" }), "sharded cluster");
        assert_eq!(setup(&doc! {}), "standalone");
    }

    #[test]
    fn an_index_is_known_by_its_keys_whatever_the_type_of_their_directions() {
        let index = |keys| IndexModel::builder().keys(keys).build();
        assert_eq!(
            traits(&index(doc! { "a": 1, "b": -1 })),
            traits(&index(doc! { "a": 1_i64, "b": -1.0 }))
        );
        assert_ne!(
            traits(&index(doc! { "a": 1, "b": 1 })),
            traits(&index(doc! { "b": 1, "a": 1 }))
        );
    }
}
