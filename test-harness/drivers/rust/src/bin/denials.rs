//! What tokio-postgres makes of denials: outside and inside of a transaction, simple, extended,
//! pipelined.
//!
//! Prints one line per situation; the test holds them against what PostgreSQL's own refusal looks like.

use tokio_postgres::error::{Error, ErrorPosition};
use tokio_postgres::{Client, NoTls};

const DENIED: &str = "drop table pgmesh_kept";

fn show<T>(situation: &str, outcome: Result<T, Error>) {
    let Err(error) = outcome else {
        return println!("{situation}|passed");
    };
    let Some(refusal) = error.as_db_error() else {
        return println!("{situation}|{error}");
    };
    let position = match refusal.position() {
        Some(ErrorPosition::Original(position) | ErrorPosition::Internal { position, .. }) => {
            *position
        }
        None => 0,
    };
    println!(
        "{situation}|{}|{}|{}|{}|{}|{position}|{}",
        refusal.code().code(),
        refusal.severity(),
        refusal.message(),
        refusal
            .detail()
            .and_then(|text| text.split(',').next())
            .unwrap_or_default(),
        refusal.hint().unwrap_or_default(),
        refusal.file().unwrap_or_default(),
    );
}

async fn usable(client: &Client) -> Result<(), Error> {
    let answer: i32 = client.query_one("select 42", &[]).await?.get(0);
    assert_eq!(answer, 42);
    Ok(())
}

async fn simple(client: &Client) -> Result<(), Error> {
    show("simple", client.simple_query(DENIED).await);
    usable(client).await
}

async fn extended(client: &Client) -> Result<(), Error> {
    show("extended", client.execute(DENIED, &[]).await);
    usable(client).await?;
    let by_parameter = "delete from pgmesh_kept where $1";
    show("parameters", client.execute(by_parameter, &[&true]).await);
    usable(client).await
}

async fn several(client: &Client) -> Result<(), Error> {
    let several = format!("select 1; {DENIED}; select 2");
    show("several", client.batch_execute(&several).await);
    usable(client).await
}

async fn transaction(client: &mut Client) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction
        .execute("insert into pgmesh_kept values (100)", &[])
        .await?;
    show("transaction", transaction.execute(DENIED, &[]).await);
    show("after", transaction.execute("select 1", &[]).await);
    transaction.rollback().await?;
    let count = "select count(*) from pgmesh_kept where a = 100";
    let rows: i64 = client.query_one(count, &[]).await?.get(0);
    println!("rolled back|{rows}");
    usable(client).await
}

/// Sent at once, each with its own Sync: the neighbours of the denial are answered.
async fn pipeline(client: &Client) -> Result<(), Error> {
    let (first, denied, third) = tokio::join!(
        client.query_one("select 1", &[]),
        client.execute(DENIED, &[]),
        client.query_one("select 3", &[])
    );
    show("pipeline", denied);
    println!("first|{}", first?.get::<_, i32>(0));
    println!("third|{}", third?.get::<_, i32>(0));
    usable(client).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let conninfo = std::env::args().nth(1).expect("usage: denials CONNINFO");
    let (mut client, connection) = tokio_postgres::connect(&conninfo, NoTls).await?;
    let connection = tokio::spawn(connection);
    client
        .batch_execute("create table if not exists pgmesh_kept (a int)")
        .await?;
    simple(&client).await?;
    extended(&client).await?;
    several(&client).await?;
    transaction(&mut client).await?;
    pipeline(&client).await?;
    let kept = "select to_regclass('pgmesh_kept') is not null";
    println!(
        "kept|{}",
        client.query_one(kept, &[]).await?.get::<_, bool>(0)
    );
    drop(client);
    connection.await.expect("the task ends")
}
