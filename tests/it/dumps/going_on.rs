//! Dumps that were cut off, by somebody or a full disk, and go on.

use super::*;

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_the_next_run_goes_on_where_there_is_room() {
    let cluster = shop(18).await;
    let disk = match kit::SmallDisk::mount(25, 0) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("not tried, as no disk can be mounted: {why}"),
    };
    let path = disk.folder().join("archive");
    let compressing = Compressing::parse("none").unwrap();
    let request = DumpRequest { compressing, ..request(&cluster, "shop", &path) };
    let full = watched(&request, |_| false).await.0.unwrap_err();
    assert!(full.is_io() && full.to_string().contains("No space left"), "{full}");
    assert!(full.hint_text().is_some_and(|hint| hint.contains("run the same command")), "{full}");
    assert!(!path.exists(), "half an archive has its name");
    // All rows find room, but not twice.
    disk.resize(100);
    let full = watched(&request, |_| false).await.0.unwrap_err();
    assert!(full.is_io() && full.to_string().contains("No space left"), "{full}");
    assert!(full.hint_text().is_some_and(|hint| hint.contains("run the same command")), "{full}");
    assert!(!path.exists(), "half an archive has its name");
    disk.resize(400);
    let went_on = dumped(&request).await;
    assert!(went_on.rows > 70_000 && went_on.taken_over > 3, "{went_on:?}");
    let copies = beside(&cluster).await;
    assert_restored("shop", (&cluster, &copies), &path, &newest_restorer(), "4").await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_for_as_somebody_may_make_room() {
    let cluster = shop(18).await;
    let disk = match kit::SmallDisk::mount(25, 0) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("not tried, as no disk can be mounted: {why}"),
    };
    let path = disk.folder().join("archive");
    let compressing = Compressing::parse("none").unwrap();
    let patience = Duration::from_secs(30);
    let request = DumpRequest { compressing, patience, ..request(&cluster, "shop", &path) };
    let (ended, said) = watched(&request, |event| {
        if let Event::Note(words) = event
            && words.contains("No space left")
        {
            disk.resize(400);
        }
        false
    })
    .await;
    assert_eq!(ended.unwrap().restarts, 0, "{said:?}");
    assert!(said.iter().any(|event| matches!(event, Event::Note(_))), "it had room");
    let flaws = commands::inspect(&path).await.unwrap().flaws;
    assert!(flaws.is_empty(), "{flaws:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_was_stopped_goes_on_while_nobody_writes_to_the_source() {
    let cluster = shop(18).await;
    let (_folder, path) = archive();
    let request = request(&cluster, "shop", &path);
    let one_is_done = |event: &Event| matches!(event, Event::StepFinished { .. });
    let (stopped, _) = watched(&request, one_is_done).await;
    assert_eq!(stopped.unwrap_err().kind(), Kind::Interrupted);
    assert!(!path.exists());

    let (went_on, said) = watched(&request, one_is_done).await;
    // Either it is stopped once more, or it had only one pack left.
    let notes = said.iter().filter(|event| matches!(event, Event::Note(_))).count();
    assert_eq!(notes, 0, "{said:?}");
    let went_on = match went_on {
        Ok(went_on) => went_on,
        Err(_) => dumped(&request).await,
    };
    assert!(went_on.taken_over > 0, "{went_on:?}");
    let copies = beside(&cluster).await;
    assert_restored("shop", (&cluster, &copies), &path, &newest_restorer(), "4").await;
    assert!(!path.with_extension("partial").exists(), "nothing is left beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_was_stopped_begins_anew_where_the_source_was_written_to() {
    let cluster = shop(18).await;
    let (_folder, path) = archive();
    let request = request(&cluster, "shop", &path);
    let (stopped, _) = watched(&request, |event| matches!(event, Event::StepFinished { .. })).await;
    assert!(stopped.is_err());
    trial::change(&cluster, "shop", "INSERT INTO child VALUES (1001)").await;
    let (anew, said) = watched(&request, |_| false).await;
    assert_eq!(anew.unwrap().taken_over, 0);
    let told = said.iter().any(|event| match event {
        Event::Note(words) => words.contains("transactions ended"),
        _ => false,
    });
    assert!(told, "{said:?}");
    let copies = beside(&cluster).await;
    assert_restored("shop", (&cluster, &copies), &path, &newest_restorer(), "1").await;
}
