package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/api"
	"github.com/umbel-go/umbel/dag/demo"
	"github.com/umbel-go/umbel/dag/engine"
	"github.com/umbel-go/umbel/dag/pages"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/dag/xingqiao"
	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/static"
	"github.com/umbel-go/umbel/templates"
)

type fake struct {
	backend.Backend
	r chan *protocol.Result
}

func get(s protocol.Signature, n string) string {
	v, _ := s.Options.Get(n)
	d, _ := protocol.Decode(v.(protocol.Raw))
	return d.(string)
}
func (f fake) Publish(_ context.Context, sigs ...protocol.Signature) error {
	for _, s := range sigs {
		s := s
		id, node := get(s, "task_id"), get(s, dag.StampNode)
		time.AfterFunc(700*time.Millisecond, func() { f.r <- &protocol.Result{TaskID: id, Status: "STARTED", Value: protocol.Raw(`{"pid": 1, "hostname": "umbel@host"}`)} })
		if node == "slow" {
			continue
		}
		time.AfterFunc(1500*time.Millisecond, func() {
			if node == "broken" {
				f.r <- &protocol.Result{TaskID: id, Status: "FAILURE", Value: protocol.NewException("disk is full").Raw(), Traceback: "Traceback (most recent call last):\n  ..."}
				return
			}
			f.r <- &protocol.Result{TaskID: id, Status: "SUCCESS", Value: protocol.Raw(`{"value": 330}`)}
		})
	}
	return nil
}
func (f fake) Get(_ context.Context, id string) (*protocol.Result, error) {
	return &protocol.Result{TaskID: id, Status: "PENDING"}, nil
}
func (f fake) Watch(context.Context, ...string) (backend.Watch, error) { return f, nil }
func (f fake) Add(context.Context, ...string) error                   { return nil }
func (f fake) Remove(context.Context, ...string) error                { return nil }
func (f fake) Close() error                                           { return nil }
func (f fake) Next(ctx context.Context) (*protocol.Result, error) {
	select {
	case r := <-f.r:
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
func must(err error) {
	if err != nil {
		panic(err)
	}
}
func main() {
	ctx := context.Background()
	s, err := store.Open(ctx, ":memory:")
	must(err)
	f := fake{r: make(chan *protocol.Result, 100)}
	e, err := engine.New(engine.Config{Store: s, Sender: f, Backend: f})
	must(err)
	rd, err := web.NewRenderer(templates.FS, static.FS)
	must(err)
	hub := web.NewHub()
	pages.Live(e, hub)
	srv, err := web.New(web.Config{Addr: "127.0.0.1:25999", Renderer: rd, Hub: hub, Version: "0.1"})
	must(err)
	srv.Mount(api.Routes(e), nil)
	srv.Mount(pages.Routes(e, rd), pages.Nav())
	srv.Mount(xingqiao.Routes(xingqiao.Config{Engine: e, Plugins: xingqiao.NewRegistry(), Version: "0.1"}), nil)
	go e.Run(ctx)
	defs, err := demo.Definitions()
	must(err)
	e.Define(ctx, defs[0], "demo")
	big, err := dag.New("nightly-report").Describe("A larger one").Node("fetch", "shop.fetch").Node("clean", "shop.clean", dag.After("fetch")).
		Node("slow", "shop.index_everything", dag.After("clean")).Node("broken", "shop.archive", dag.After("clean")).
		Node("stats", "shop.stats", dag.After("fetch")).Node("mail", "shop.mail", dag.After("broken", "stats")).Node("publish", "shop.publish", dag.After("slow", "stats", "fetch")).
		Node("retrying", "shop.flaky_thing", dag.After("fetch"), dag.Retry(3, time.Hour)).Build()
	must(err)
	_, err = e.Start(ctx, engine.Start{Definition: big})
	must(err)
	r, err := e.Start(ctx, engine.Start{Workflow: "demo-diamond"})
	must(err)
	fmt.Println(r.ID)
	must(http.ListenAndServe("127.0.0.1:25999", srv.Handler()))
}
