//! `[route.files]`

use std::path::PathBuf;
use std::time::Duration;

use super::{kind, optional, table};
use crate::checked::{FileInside, FileName, PublicFolder};

table! {
    /// A folder whose files answer the requests of a route. `files = "public"` is short for its `folder` alone.
    ///
    /// Never shown: lists of a folder, names that begin with a dot (except `.well-known`), and anything outside of the
    /// folder, also by a link.
    pub struct Files as "route.files", "[route.files]" {
        /// The folder, relative to the folder of the file. What follows the route's `path` in a request is the path
        /// in it.
        folder: PathBuf as PublicFolder,
            because "It is required. It may be made later: it is looked for at each request.",
            example "public";
        /// The file that answers for a folder.
        index: String as FileName = "index.html",
            because "What every tool calls it.",
            example "start.html";
        /// The file in the folder that answers for pages which are no files, for an app that makes its pages in the
        /// browser. Only for requests that name `text/html` in `Accept` and whose last name has no dot in it.
        fallback: Option<String> as Option<FileInside>,
            because "Without it, what is not there gets a 404. With it, a missing script still does.",
            example "index.html";
        /// Whether a file with `.br`, `.zst` or `.gz` added to its name is sent in its place to clients that take it.
        /// One that is older than the file is not.
        precompressed: bool = false,
            because "Not every folder that has a `.gz` beside a file means the same by it.",
            example true;
        /// How long a browser may use a file without asking whether it has changed. A page of HTML is asked for each
        /// time; from a year on the others are `immutable`.
        cache: Duration = "0s", from "0s" to "3650d",
            because "Asking costs little, and nobody sees an old file after a deploy. With a hash in each name, choose a year.",
            example "365d";
    }
}
