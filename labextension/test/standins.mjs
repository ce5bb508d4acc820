// What is used of JupyterLab's packages by the modules under test, as little as will do.
export const URLExt = {
  join: (...parts) => parts.map(part => part.replace(/\/$/, '')).join('/')
};

export const ServerConnection = {
  makeSettings: () => globalThis.server.settings,
  makeRequest: (url, init) => globalThis.server.request(url, init)
};

export class Signal {
  constructor(sender) {
    this.sender = sender;
    this.slots = [];
  }
  connect(slot) {
    this.slots.push(slot);
  }
  emit(value) {
    this.slots.forEach(slot => slot(this.sender, value));
  }
}

export class Token {
  constructor(name, description) {
    Object.assign(this, { name, description });
  }
}

export const NotebookActions = {};
export const INotebookTracker = {};
