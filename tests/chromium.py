"A headless Chromium, driven over its DevTools protocol."
import base64
import json
import shutil
import subprocess
import time
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run --no-default-browser-check --disable-background-networking
--disable-component-update --disable-sync --disable-extensions --hide-scrollbars --remote-debugging-port=0 --remote-allow-origins=*"""
KEYS = {" ": ("Space", 32, " "), "Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r")}     # name, number, text


class Browser:
    "One page of a headless Chromium; what it asks of the network and what goes wrong is kept in `events`."
    def __init__(self, folder, patience=60):
        import websocket
        self.process = subprocess.Popen([CHROMIUM, *FLAGS.split(), f"--user-data-dir={folder}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port, end = Path(folder)/"DevToolsActivePort", time.time() + patience
        while not (port.exists() and port.read_text().count("\n")):
            if time.time() > end or self.process.poll() is not None: raise RuntimeError("chromium does not start")
            time.sleep(.05)
        number, path = port.read_text().split()
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{number}{path}", timeout=patience, suppress_origin=True)
        self.events, self.count, self.session = [], 0, None
        target = next(t for t in self("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"): self(domain + ".enable")

    def __call__(self, method, **params):
        "The answer to a command; raises `RuntimeError` where it failed."
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})))
        while (answer := json.loads(self.socket.recv())).get("id") != self.count: self.events.append(answer)
        if "error" in answer: raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def js(self, code):
        "The value of an expression on the page."
        answer = self("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer: raise RuntimeError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    def open(self, path, width=1200, dark=False, height=900):
        "Loads a file, or an address, in a window of some width."
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.events.clear()
        self.url = path if str(path).startswith("http") else Path(path).as_uri()
        self("Page.navigate", url=self.url)
        while self.js("document.readyState") != "complete" or self.js("location.href") == "about:blank": time.sleep(.02)

    def until(self, code, patience=60):
        "Waits for an expression to be true on the page, and returns it; raises `TimeoutError` if it does not become true."
        end = time.time() + patience
        while not (value := self.js(code)):
            if time.time() > end: raise TimeoutError(f"after {patience} s it is still not true: {code}")
            time.sleep(.05)
        return value

    def click(self, selector):
        "Presses the mouse on the middle of an element, as a person would."
        x, y = self.js(f"(() => {{ const t = document.querySelector({json.dumps(selector)}); t.scrollIntoView({{block: 'center'}}); const r = t.getClientRects()[0]; return [r.x + r.width / 2, r.y + r.height / 2] }})()")
        for kind in ("mousePressed", "mouseReleased"): self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        "Presses a key."
        name, number, text = KEYS[key]
        self("Input.dispatchKeyEvent", type="keyDown", key=key, code=name, windowsVirtualKeyCode=number, text=text)
        self("Input.dispatchKeyEvent", type="keyUp", key=key, code=name, windowsVirtualKeyCode=number)

    def screenshot(self, path, selector="body"):
        "A picture of an element, all of it."
        clip = self.js(f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect(); return {{x: r.x + scrollX, y: r.y + scrollY, width: r.width, height: r.height, scale: 1}} }})()")
        Path(path).write_bytes(base64.b64decode(self("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]))

    def requests(self):
        "Addresses that were asked for, but for the page and what it carries."
        urls = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [u for u in urls if u != self.url and not u.startswith("data:")]

    def complaints(self):
        "What the console of the page shows."
        return [e["params"] for e in self.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")]

    def close(self):
        try: self("Browser.close")
        except Exception: self.process.kill()
        self.socket.close()
        self.process.wait(20)
