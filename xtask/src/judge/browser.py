"""Chromium looks at a site: its page, its web socket, and pages of errors. Says what is wrong, a line each.

    browser.py URL FOLDER ERROR_URL...
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import urllib.request

import websockets

WAIT_SECONDS = 60
WORDS = "a plumb line"


async def main(url, folder, errors):
    profile = tempfile.mkdtemp(dir=folder)
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with open(os.path.join(folder, "chromium.log"), "w") as log:
        try:
            chromium = subprocess.Popen(command, stdout=log, stderr=log)
        except FileNotFoundError:
            raise SystemExit("chromium is not there: install the Debian package `chromium`")
    try:
        async with websockets.connect(await debugger_of(profile), max_size=None) as socket:
            page = Page(socket)
            return await converse(page, url) + await photograph(page, folder, [url] + errors)
    finally:
        chromium.terminate()
        chromium.wait()


async def debugger_of(profile):
    for _ in range(WAIT_SECONDS * 20):
        try:
            with open(os.path.join(profile, "DevToolsActivePort")) as file:
                port = file.readline().strip()
            pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
            return next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        except (OSError, StopIteration, ValueError):
            await asyncio.sleep(0.05)
    raise SystemExit("chromium does not start: see chromium.log")


class Page:
    """One page of the browser, over its debugging protocol."""

    def __init__(self, socket):
        self.socket, self.number, self.events = socket, 0, []

    async def call(self, method, **parameters):
        self.number += 1
        await self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            said = json.loads(await asyncio.wait_for(self.socket.recv(), WAIT_SECONDS))
            if said.get("id") == self.number:
                return said.get("result", {})
            self.events.append(said)

    async def value(self, expression):
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    async def until(self, what, expression):
        for _ in range(WAIT_SECONDS * 20):
            if await self.value(expression):
                return
            await asyncio.sleep(0.05)
        raise SystemExit(f"never: {what}")

    def seen(self, method):
        return [event["params"] for event in self.events if event.get("method") == method]


async def converse(page, url):
    """The page, its web socket and its console."""
    for domain in ("Page", "Network", "Runtime", "Log"):
        await page.call(f"{domain}.enable")
    await page.call("Page.navigate", url=url)
    state = "document.getElementById('state')?.textContent == 'connected'"
    await page.until("the web socket is connected", state)
    await page.value(f"document.getElementById('words').value = '{WORDS}'; document.querySelector('#talk button').click()")
    await page.until("the web socket answers", f"document.getElementById('said').textContent.includes('{WORDS}')")
    answers = [seen["response"] for seen in page.seen("Network.responseReceived")]
    protocols = {answer["protocol"] for answer in answers if answer["url"].startswith(url)}
    shaken = [seen["response"]["status"] for seen in page.seen("Network.webSocketHandshakeResponseReceived")]
    print("the page came over", *protocols, "and its web socket was opened with", *shaken)
    wrong = []
    if protocols != {"h2"}:
        wrong.append("the page should have come over h2")
    if shaken != [200]:
        wrong.append("a web socket over HTTP/2 is opened with 200")
    wrong += ["thrown: " + seen["exceptionDetails"]["text"] for seen in page.seen("Runtime.exceptionThrown")]
    entries = [seen["entry"] for seen in page.seen("Log.entryAdded")]
    # The browser asks for an icon by itself, and the demo app has none.
    entries = [entry for entry in entries if not entry.get("url", "").endswith("/favicon.ico")]
    return wrong + ["the console says: " + entry["text"] for entry in entries if entry["level"] == "error"]


async def photograph(page, folder, urls):
    """Each page, dark and light, narrow and wide."""
    wrong = []
    for url in urls:
        name = url.rsplit("/", 1)[1] or "page"
        for scheme in ("light", "dark"):
            for width in (375, 1440):
                features = [{"name": "prefers-color-scheme", "value": scheme}]
                await page.call("Emulation.setEmulatedMedia", features=features)
                size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
                await page.call("Emulation.setDeviceMetricsOverride", **size)
                await page.call("Page.navigate", url=url)
                await page.until(f"{url} is there", f"document.readyState == 'complete' && location.href == '{url}'")
                if await page.value("document.documentElement.scrollWidth > innerWidth"):
                    wrong.append(f"{url} is wider than {width} pixels")
                picture = await page.call("Page.captureScreenshot", format="png")
                with open(os.path.join(folder, f"{name}-{scheme}-{width}.png"), "wb") as file:
                    file.write(base64.b64decode(picture["data"]))
    return wrong


if __name__ == "__main__":
    found = asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
    for line in found:
        print(line)
    sys.exit(1 if found else 0)
