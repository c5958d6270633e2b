/* Search without a server: a browser starts no worker from the file system, so its script runs
   in a hidden frame. Why: docs/decisions/0270-mkdocs-material-on-staged-pages.md */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.loaded = new Promise((resolve) => (this.frame.onload = resolve));
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      // What the script sends goes to the listeners here.
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = inside.document.createElement("script");
      this.loaded = new Promise((resolve) => (script.onload = resolve));
      script.src = url;
      inside.document.body.append(script);
    }

    async postMessage(data) {
      await this.loaded;
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
