//! gRPC's own client and server, with the edge between them: every kind of call, with TLS and without.
#![allow(clippy::unwrap_used, reason = "what a judge needs and does not get fails the test")]

use prumo_tests::site::Site;
use prumo_tests::tool::Tool;

const FILE: &str = r#"[edge]
address = "127.0.0.1"
http = [EDGE]
https = [TLS]

[admin]
listen = "127.0.0.1:[ADMIN]"

[service.calls]
run = "PYTHON server.py $PORT"
protocol = "h2"
health = { grpc = "calls.Calls", every = "20s", timeout = "20s", start_within = "60s" }

[[route]]
to = "calls"
"#;

/// Methods without a description of messages: bytes in, bytes out.
const SERVER: &str = r#"
import sys, threading
from concurrent import futures
import grpc

cancelled = threading.Event()

def echo(request, context):
    context.set_trailing_metadata((("x-said", dict(context.invocation_metadata()).get("x-say", "nothing")),))
    return request

def count(request, context):
    for number in range(int(request)):
        yield str(number).encode()

def total(requests, context):
    return str(sum(len(request) for request in requests)).encode()

def talk(requests, context):
    for request in requests:
        yield request.upper()

def fail(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as you wish")

def wait(request, context):
    cancelled.clear()
    if not context.add_callback(cancelled.set):
        cancelled.set()
    yield b"started"
    cancelled.wait(float(request))

def was_cancelled(request, context):
    return b"yes" if cancelled.wait(30) else b"no"

def check(request, context):
    if request != b"\x0a\x0bcalls.Calls":
        context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
    return b"\x08\x01"

methods = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Wait": grpc.unary_stream_rpc_method_handler(wait),
    "WasCancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
}
options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
server = grpc.server(futures.ThreadPoolExecutor(16), options=options)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("calls.Calls", methods),))
health = {"Check": grpc.unary_unary_rpc_method_handler(check)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
"#;

const CLIENT: &str = r#"
import sys, queue
import grpc

target, authority = sys.argv[1:]
options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
if authority:
    channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(open(authority, "rb").read()), options)
else:
    channel = grpc.insecure_channel(target, options)

def name(method):
    return f"/calls.Calls/{method}"

echo = channel.unary_unary(name("Echo"))
answer, call = echo.with_call(b"hello", metadata=(("x-say", "farewell"),), timeout=60)
assert answer == b"hello"
assert dict(call.trailing_metadata())["x-said"] == "farewell", call.trailing_metadata()
assert echo(b"", timeout=60) == b""
large = bytes(range(256)) * 65536
assert echo(large, timeout=60) == large

count = channel.unary_stream(name("Count"))
assert [int(number) for number in count(b"500", timeout=60)] == list(range(500))
assert list(count(b"0", timeout=60)) == []

total = channel.stream_unary(name("Total"))
assert total((b"x" * 1000 for _ in range(1000)), timeout=60) == b"1000000"

talk = channel.stream_stream(name("Talk"))
said = queue.Queue()
answers = talk(iter(said.get, None), timeout=60)
for word in ["one", "two", "three"]:
    said.put(word.encode())
    assert next(answers) == word.upper().encode()
said.put(None)
assert list(answers) == []

def fails(call, code, details=None):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, error
        assert details is None or error.details() == details, error
    else:
        raise AssertionError(f"expected {code}")

fails(lambda: channel.unary_unary(name("Fail"))(b"", timeout=60), grpc.StatusCode.FAILED_PRECONDITION, "as you wish")
fails(lambda: channel.unary_unary(name("Nothing"))(b"", timeout=60), grpc.StatusCode.UNIMPLEMENTED)

was_cancelled = channel.unary_unary(name("WasCancelled"))
def starts_and_expires(deadline):
    waiting, has_started = channel.unary_stream(name("Wait"))(b"60", timeout=deadline), False
    def read():
        nonlocal has_started
        has_started = next(waiting) == b"started"
        next(waiting)
    fails(read, grpc.StatusCode.DEADLINE_EXCEEDED)
    return has_started

# On a busy machine a short deadline may pass before the server has begun.
assert starts_and_expires(2) or starts_and_expires(30)
assert was_cancelled(b"", timeout=60) == b"yes", "a deadline reaches the server"

futures = [echo.future(str(number).encode(), timeout=60) for number in range(300)]
assert [int(one.result()) for one in futures] == list(range(300))
print("content")
"#;

/// Goal: gRPC's own server is healthy when it says so of the service that is asked about, and not when it knows no such service.
#[test]
fn grpc_health() {
    let python = Tool::find_in_tools("python");
    let file = FILE.replace("PYTHON", &python.path().display().to_string());
    let mut site = Site::new(&file);
    site.write("server.py", SERVER);
    site.up();
    site.await_healthy("calls");
    site.write(
        "prumo.toml",
        &site.filled(&file.replace("calls.Calls\"", "calls.Nobody\"").replace("\"60s\"", "\"20s\"")),
    );
    let said = site.prumo(&["deploy", "calls"]);
    assert!(
        said.code == Some(4) && said.err.contains("the gRPC health check knows no service `calls.Nobody`"),
        "{}{}",
        said.out,
        said.err
    );
}

/// Goal: gRPC's own client is content with what it gets from gRPC's own server through the edge: single calls, streams
/// in both directions, large messages, errors, and deadlines that reach the server.
#[test]
fn grpc_is_content() {
    let python = Tool::find_in_tools("python");
    let mut site = Site::new(&FILE.replace("PYTHON", &python.path().display().to_string()));
    site.write("server.py", SERVER);
    site.up();
    site.await_healthy("calls");
    let authority = site.state().join("certs/authority.pem").display().to_string();
    for (target, authority) in
        [(site.edge().to_string(), ""), (format!("localhost:{}", site.tls().port()), authority.as_str())]
    {
        let said = python.run(&["-c", CLIENT, &target, authority]);
        assert!(
            said.code == Some(0) && said.out == "content\n",
            "{target}\n{}{}\n{}",
            said.out,
            said.err,
            site.story()
        );
    }
}
