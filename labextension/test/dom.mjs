// A document of elements, attributes and text: what `morph` uses, and a parser for tidy HTML.
export class Node {
  static ELEMENT_NODE = 1;
  static TEXT_NODE = 3;
  static COMMENT_NODE = 8;
  childNodes = [];
  parentNode = null;
  nodeValue = null;
  get lastChild() {
    return this.childNodes.at(-1) ?? null;
  }
  appendChild(node) {
    node.parentNode = this;
    this.childNodes.push(node);
    return node;
  }
  removeChild(node) {
    this.childNodes.splice(this.childNodes.indexOf(node), 1);
    node.parentNode = null;
    return node;
  }
  replaceChild(node, old) {
    node.parentNode = this;
    this.childNodes[this.childNodes.indexOf(old)] = node;
    old.parentNode = null;
    return old;
  }
}

export class Element extends Node {
  nodeType = Node.ELEMENT_NODE;
  #attributes = new Map();
  constructor(tag) {
    super();
    this.nodeName = tag.toUpperCase();
  }
  get attributes() {
    return [...this.#attributes].map(([name, value]) => ({ name, value }));
  }
  getAttribute(name) {
    return this.#attributes.get(name) ?? null;
  }
  hasAttribute(name) {
    return this.#attributes.has(name);
  }
  setAttribute(name, value) {
    this.#attributes.set(name, value);
  }
  removeAttribute(name) {
    this.#attributes.delete(name);
  }
  get outerHTML() {
    const tag = this.nodeName.toLowerCase();
    const attributes = this.attributes.map(({ name, value }) => ` ${name}="${value}"`).join('');
    return `<${tag}${attributes}>${this.innerHTML}</${tag}>`;
  }
  get innerHTML() {
    return this.childNodes.map(node => node.outerHTML ?? node.nodeValue).join('');
  }
  set innerHTML(html) {
    const root = this.nodeName === 'TEMPLATE' ? (this.content = new Node()) : this;
    root.childNodes = [];
    const open = [root];
    for (const [, comment, closing, tag, attributes, text] of html.matchAll(
      /<!--(.*?)-->|<(\/?)(\w+)((?:\s+[\w:-]+="[^"]*")*)\s*>|([^<]+)/g
    )) {
      if (comment !== undefined) {
        open.at(-1).appendChild(value(Node.COMMENT_NODE, '#comment', comment));
      } else if (text !== undefined) {
        open.at(-1).appendChild(value(Node.TEXT_NODE, '#text', text));
      } else if (closing) {
        open.pop();
      } else {
        const made = open.at(-1).appendChild(new Element(tag));
        for (const [, name, given] of attributes.matchAll(/([\w:-]+)="([^"]*)"/g)) {
          made.setAttribute(name, given);
        }
        open.push(made);
      }
    }
  }
}

function value(nodeType, nodeName, nodeValue) {
  return Object.assign(new Node(), { nodeType, nodeName, nodeValue });
}

export const document = {
  createElement: tag => new Element(tag),
  importNode(node) {
    if (!(node instanceof Element)) {
      return value(node.nodeType, node.nodeName, node.nodeValue);
    }
    const copy = new Element(node.nodeName);
    node.attributes.forEach(({ name, value }) => copy.setAttribute(name, value));
    return copy;
  }
};
