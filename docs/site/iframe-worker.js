// A page that was opened from a folder may start no worker. For those, the search runs in a frame
// of the page that shows nothing. Served pages keep the browser's own workers.
if (location.protocol === "file:") {
  window.Worker = class FramedWorker extends EventTarget {
    constructor(address) {
      super();
      this.onmessage = null;
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.title = "Search";
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.importScripts = (...scripts) => scripts.reduce(
        (before, script) => before.then(() => this.load(script)), Promise.resolve());
      inside.postMessage = (data) => this.answer(data);
      this.load(String(address)).then(() => {
        this.ready = true;
        this.waiting.splice(0).forEach((data) => this.postMessage(data));
      });
    }

    load(script) {
      return new Promise((resolve, reject) => {
        const element = this.frame.contentDocument.createElement("script");
        element.src = new URL(script, location.href).href;
        element.onload = resolve;
        element.onerror = reject;
        this.frame.contentDocument.body.append(element);
      });
    }

    answer(data) {
      const event = new MessageEvent("message", { data });
      this.dispatchEvent(event);
      this.onmessage?.(event);
    }

    postMessage(data) {
      if (!this.ready) {
        this.waiting.push(data);
        return;
      }
      const inside = this.frame.contentWindow;
      inside.dispatchEvent(new inside.MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
