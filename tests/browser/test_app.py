"The page of `interlib app`, and a stranger who tries to get in: no token, other names, other pages, forged messages, forty at once."
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

pytest.importorskip("voila", reason="no voila in this environment")
from interlib.app.serving import PAGES

# The server as it is, with a notebook that is there at once and kernels that are forgotten sooner.
SERVER = """
import sys, tempfile, nbformat
from interlib.app import serving
path = serving.write_app_notebook
def light(folder, model):
    nb = nbformat.read(found := path(folder, model), 4)
    nb.cells[1].source = "print('made by a kernel')"
    nbformat.write(nb, found)
    return found
serving.write_app_notebook = light
with tempfile.TemporaryDirectory() as folder:
    server = serving.page_server(folder, port=0, opens=False)
    server.port = int(sys.argv[1])
    server.config.MappingKernelManager.cull_idle_timeout = 3
    server.config.MappingKernelManager.cull_interval = 1
    server.start()
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def link_of(server):
    return re.search(r"http://\S+", server.stdout.readline()).group()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    "The process, its port and its token; started in a folder with a `voila.py` that nobody may run."
    folder = tmp_path_factory.mktemp("app")
    (folder / "voila.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    (folder / "voila.json").write_text('{"Voila": {"token": "known"}}')
    (script := tmp_path_factory.mktemp("script") / "serve.py").write_text(SERVER)
    process = subprocess.Popen([sys.executable, script, str(port := free_port())], stdout=subprocess.PIPE, text=True, cwd=folder)
    process.port, process.folder, link = port, folder, link_of(process)
    process.token = re.fullmatch(rf"http://localhost:{port}/\?token=([\w-]{{40,}})", link).group(1)
    yield process
    process.terminate()
    process.wait(30)


def get(server, path="/", **headers):
    "Status, text and cookies of an answer."
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers={"Host": f"localhost:{server.port}"} | {k.replace("_", "-"): v for k, v in headers.items()})
    try: answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as e: answer = e
    with answer: return answer.status, answer.read().decode(), "; ".join(c.split(";")[0] for c in answer.headers.get_all("Set-Cookie", []))


def kernels(server):
    "The processes of its kernels."
    return psutil.Process(server.pid).children()


def wait_for(condition, patience=30):
    end = time.time() + patience
    while not condition():
        if time.time() > end: raise TimeoutError
        time.sleep(.1)


@pytest.fixture(scope="module")
def visitor(server):
    "The cookies of the user, and the number of the kernel of their page."
    status, page, cookies = get(server, f"/?token={server.token}")
    assert status == 200 and "made by a kernel" in page
    return cookies, re.search(r'"kernelId": "([\w-]+)"', page).group(1)


def test_without_the_token_nothing_is_served_and_no_kernel_starts(server):
    for path in ("/", "/?token=", "/?token=guess", "/?token=known", f"/?token={server.token[:-1]}", f"/?token={server.token}x", "/login", "/login?next=/", "/logout", "/voila/render/interlib.ipynb",
                 "/voila/tree", "/voila/api/contents", "/api/kernels", "/?token=%ff"):
        status, text, cookies = get(server, path)
        assert status in (302, 400, 403, 404) and "kernelId" not in text and "username" not in cookies, path
    assert "open the whole link that interlib printed" in get(server)[1]
    assert get(server, Cookie="username-localhost-%d=2|1:0|10:1|8:username|4:eyJ9|0" % server.port)[0] == 403
    assert get(server, Authorization="token guess")[0] == 403
    assert kernels(server) == []


def test_the_token_opens_the_page_once_and_a_cookie_after_that(server, visitor):
    cookies, kernel = visitor
    assert get(server, f"/api/kernels/{kernel}")[0] == 403
    assert get(server, f"/api/kernels/{kernel}", Cookie=cookies)[0] == 200
    cookie = urllib.request.urlopen(f"http://localhost:{server.port}/?token={server.token}").headers.get_all("Set-Cookie")[0]
    assert "SameSite=Strict" in cookie and "HttpOnly" in cookie


def test_the_token_is_on_no_command_line_and_unknown_to_kernels(server, visitor):
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert any(str(server.port) in line for line in lines) and not any(server.token in line for line in lines)
    for kernel in kernels(server): assert server.token not in str(kernel.environ())


def test_configuration_of_the_folder_is_not_run(server):
    assert not (server.folder / "ran").exists()


def test_it_listens_on_this_machine_alone(server):
    process = psutil.Process(server.pid)
    open_ports = getattr(process, "net_connections", process.connections)(kind="inet")
    assert [c.laddr[:] for c in open_ports if c.laddr[1] == server.port and c.status == "LISTEN"] == [("127.0.0.1", server.port)]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{}", "localhost.evil.example:{}", "127.0.0.1.nip.io:{}", "0.0.0.0:{}", "192.168.0.1:{}", "localhost:{}, evil.example"])
def test_under_another_name_nothing_is_served(server, visitor, host):
    host, before = host.format(server.port), len(kernels(server))
    for path in ("/", f"/?token={server.token}", f"/api/kernels/{visitor[1]}", "/voila/static/voila.js", "/voila/api/themes/x", "/voila/labextensions/x"):
        status, text, _ = get(server, path, Host=host, Cookie=visitor[0])
        assert status in (400, 403) and "kernelId" not in text
    assert len(kernels(server)) <= before


@pytest.mark.parametrize("host", ["localhost:{}", "127.0.0.1:{}", "[::1]:{}", "localhost:9999"])
def test_names_of_this_machine_are_known(server, host):
    assert get(server, "/voila/static/voila.js", Host=host.format(server.port))[0] == 200


@pytest.mark.parametrize("headers", [dict(Origin="http://evil.example"), dict(Origin="http://localhost:9999"), dict(Origin="https://localhost:{}"), dict(Origin="null"),
                                     dict(Sec_Fetch_Site="cross-site"), dict(Sec_Fetch_Site="same-site")], ids=str)
def test_other_pages_are_refused_even_with_the_cookie(server, visitor, headers):
    headers, before = {k: v.format(server.port) for k, v in headers.items()}, len(kernels(server))
    for path in ("/", f"/api/kernels/{visitor[1]}", "/voila/static/voila.js"):
        status, text, _ = get(server, path, Cookie=visitor[0], **headers)
        assert status == 403 and "kernelId" not in text
    assert len(kernels(server)) <= before


def connect(server, kernel, cookies="", origin=None, host=None):
    "A websocket to a kernel; raises if it is refused."
    websocket = pytest.importorskip("websocket", reason="no websocket-client in this environment")
    return websocket.create_connection(f"ws://127.0.0.1:{server.port}/api/kernels/{kernel}/channels", timeout=20, cookie=cookies, host=host or f"localhost:{server.port}",
                                       **(dict(origin=origin) if origin else dict(suppress_origin=True)))


@pytest.fixture
def open_page(server):
    "A page with the user's cookies, its kernel still there."
    wait_for(lambda: len(kernels(server)) < PAGES)
    _, page, cookies = get(server, f"/?token={server.token}")
    return cookies, re.search(r'"kernelId": "([\w-]+)"', page).group(1)


def test_the_websocket_is_for_the_page_alone(server, open_page):
    import websocket
    cookies, kernel = open_page
    for refused in (dict(cookies=""), dict(cookies=cookies, origin="http://evil.example"), dict(cookies=cookies, origin="http://localhost:9999"), dict(cookies=cookies, host=f"evil.example:{server.port}"),
                    dict(cookies=cookies, host=f"evil.example:{server.port}", origin=f"http://evil.example:{server.port}")):
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"): connect(server, kernel, **refused)
    connect(server, kernel, cookies, f"http://localhost:{server.port}").close()


def test_no_message_runs_code(server, open_page):
    def message(kind, **content): return {"header": {"msg_id": kind, "msg_type": kind, "username": "", "session": "s", "version": "5.3", "date": ""}, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    target, socket = server.folder / "written", connect(server, open_page[1], open_page[0])
    socket.send(json.dumps(message("execute_request", code=f"open({str(target)!r}, 'w')", silent=False, store_history=False, user_expressions={}, allow_stdin=False)))
    socket.send(json.dumps(message("comm_open", comm_id="x", target_name="jupyter.widget", target_module="os", data={"state": {"_model_module": "os", "_model_name": "system"}})))
    socket.send(json.dumps(message("kernel_info_request")))
    while json.loads(socket.recv())["header"]["msg_type"] != "kernel_info_reply": pass         # all before it have been read
    socket.close()
    assert not target.exists()


def test_forty_at_once_do_not_start_forty_kernels(server):
    wait_for(lambda: not kernels(server))
    seen = set()
    with ThreadPoolExecutor(41) as pool:
        asked = [pool.submit(get, server, f"/?token={server.token}") for _ in range(40)]
        while not all(a.done() for a in asked):
            seen |= set(now := kernels(server))
            assert len(now) <= PAGES
            time.sleep(.1)
    answers = [a.result() for a in asked]
    assert sorted({status for status, *_ in answers}) == [200, 503] and 0 < len(seen) < 10
    assert f"{PAGES} pages are open" in next(text for status, text, _ in answers if status == 503)
    wait_for(lambda: not kernels(server))                               # forgotten, since nobody is connected
    assert get(server, f"/?token={server.token}")[0] == 200


def test_the_end_of_the_server_ends_its_kernels(server, open_page):
    own = kernels(server)
    server.terminate()
    assert server.wait(30) == 0 and own and psutil.wait_procs(own, timeout=10)[1] == []


# The command


def start(port, folder): return subprocess.Popen([sys.executable, "-c", f"import sys; from interlib.app.cli import main; sys.exit(main(['app', '--no-browser', '--port', '{port}']))"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)


@pytest.mark.parametrize("how, again", [("SIGINT", True), ("SIGTERM", False)])
def test_the_app_ends_and_can_be_started_again_at_once(how, again, tmp_path):
    process = start(port := free_port(), tmp_path)
    link = link_of(process)
    with socket.create_connection(("127.0.0.1", port)) as client:       # a client that is still there when it ends
        client.send(b"GET /voila/static/voila.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        process.send_signal(getattr(signal, how))
        assert process.wait(30) == 130
    assert process.stderr.read() == "" and os.listdir(tmp_path) == []
    if not again: return
    second = start(port, tmp_path)
    assert link_of(second) != link                                      # another token
    second.terminate()
    assert second.wait(30) == 130 and second.stderr.read() == ""


def test_a_taken_port_is_refused(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(port := taken.getsockname()[1], tmp_path)
        assert process.wait(60) == 2 and f"port: got {port}, which cannot be used" in process.stderr.read()


def test_the_browser_is_given_a_file_not_the_token(tmp_path):
    from interlib.app.serving import page_server
    opened, server = [], page_server(tmp_path, port=0)
    import webbrowser
    before, webbrowser.open = webbrowser.open, opened.append
    try: server.launch_browser()
    finally: webbrowser.open = before
    assert opened == [(tmp_path / "open.html").as_uri()] and server.token in (tmp_path / "open.html").read_text()
