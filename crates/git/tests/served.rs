//! The ways to an origin, each as a new and as an old server would give it: files, ssh and http.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use git::{Git, Origin};

use crate::place::{Place, program};

/// A way to `Place`'s origin.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    File,
    Ssh,
    Http,
}

/// Each way, with protocol 2 and without.
pub(crate) const WAYS: [(Way, bool); 6] = [
    (Way::File, true),
    (Way::File, false),
    (Way::Ssh, true),
    (Way::Ssh, false),
    (Way::Http, true),
    (Way::Http, false),
];

/// The git to use and the address, for a server that speaks protocol 2 or only the one before.
pub(crate) fn serve(place: &Place, way: Way, protocol_2: bool) -> (Git, Origin) {
    let folder = place.path("origin");
    match way {
        Way::File => {
            let version = if protocol_2 { 2 } else { 0 };
            let script = format!("exec $REAL -c protocol.version={version} \"$@\"");
            (place.wrapped(&script), place.origin())
        }
        Way::Ssh => {
            let ssh = place.path("ssh");
            let forget = if protocol_2 { "" } else { "unset GIT_PROTOCOL" };
            // The last argument is what the other side is to run; a server that knows no GIT_PROTOCOL does not take it.
            let script =
                format!("#!/bin/sh\n{forget}\nfor last; do :; done\neval \"exec $last\"\n");
            fs::write(&ssh, script).unwrap();
            fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
            let script = format!(
                "export GIT_SSH_COMMAND={}\nexec $REAL \"$@\"",
                ssh.display()
            );
            let origin = format!("git@host:{}", folder.display());
            (place.wrapped(&script), origin.parse().unwrap())
        }
        Way::Http => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let root = place.path("");
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    // Who hangs up early is no trouble of the server.
                    let _gone = answer(&stream, &root, protocol_2);
                }
            });
            let origin = format!("http://127.0.0.1:{port}/origin/.git");
            (place.git.clone(), origin.parse().unwrap())
        }
    }
}

/// One request to `git http-backend`, one answer.
fn answer(mut stream: &TcpStream, root: &PathBuf, protocol_2: bool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut backend = Command::new(program());
    backend
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query);
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "content-type" => drop(backend.env("CONTENT_TYPE", value)),
            "content-encoding" => drop(backend.env("HTTP_CONTENT_ENCODING", value)),
            "git-protocol" if protocol_2 => drop(backend.env("GIT_PROTOCOL", value)),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let child = backend
        .env("CONTENT_LENGTH", length.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let written = child.stdin.take().unwrap().write_all(&body);
    let output = child.wait_with_output()?;
    written?;
    stream.write_all(b"HTTP/1.0 200 OK\r\n")?;
    stream.write_all(&output.stdout)
}

/// True if any object of this id has arrived in a bare repository, with a ref or without.
pub(crate) fn arrived(place: &Place, folder: &Path, id: &str) -> bool {
    let listed = place.say(
        folder,
        &[
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objectname)",
        ],
    );
    listed.lines().any(|object| object == id)
}
