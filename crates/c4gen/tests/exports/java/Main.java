import com.fasterxml.jackson.core.type.TypeReference;
import com.structurizr.Workspace;
import com.structurizr.dsl.StructurizrDslParser;
import com.structurizr.util.WorkspaceUtils;
import com.structurizr.view.DynamicView;
import com.structurizr.view.ModelView;
import io.openlineage.client.OpenLineage;
import io.openlineage.client.OpenLineageClientUtils;
import java.nio.charset.StandardCharsets;
import java.util.stream.Collectors;
import net.sourceforge.plantuml.BlockUml;
import net.sourceforge.plantuml.SourceStringReader;
import net.sourceforge.plantuml.core.Diagram;
import net.sourceforge.plantuml.error.PSystemError;

/** Reads an export from the standard input with the tool it is for, and says what it understood, a line each. */
public final class Main {
    public static void main(String[] arguments) throws Exception {
        String text = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        switch (arguments[0]) {
            case "structurizr" -> {
                StructurizrDslParser parser = new StructurizrDslParser();
                parser.parse(text);
                tell(parser.getWorkspace());
            }
            case "structurizr_json" -> tell(WorkspaceUtils.fromJson(text));
            case "open_lineage" -> {
                for (String line : text.lines().toList()) {
                    OpenLineage.JobEvent event =
                            OpenLineageClientUtils.fromJson(line, new TypeReference<OpenLineage.JobEvent>() {});
                    String inputs = event.getInputs().stream().map(OpenLineage.InputDataset::getName)
                            .collect(Collectors.joining(" "));
                    String outputs = event.getOutputs().stream().map(OpenLineage.OutputDataset::getName)
                            .collect(Collectors.joining(" "));
                    System.out.println("job " + event.getJob().getName() + ": " + inputs + " -> " + outputs);
                }
            }
            case "plantuml" -> {
                for (BlockUml block : new SourceStringReader(text).getBlocks()) {
                    Diagram diagram = block.getDiagram();
                    if (diagram instanceof PSystemError error) {
                        throw new IllegalStateException(block.getFlashData() + ": " + error.getDescription());
                    }
                    System.out.println("diagram " + diagram.getDescription().getDescription());
                    block.getDefinition(false).stream().filter(line -> !line.isBlank())
                            .forEach(line -> System.out.println("line " + line));
                }
            }
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void tell(Workspace workspace) {
        workspace.getModel().getElements().forEach(element -> System.out.println("element " + element.getName()));
        workspace.getModel().getRelationships().forEach(relationship -> System.out.println("arrow "
                + relationship.getSource().getName() + " -> " + relationship.getDestination().getName() + ": "
                + relationship.getDescription()));
        workspace.getViews().getViews().forEach(view -> System.out.println("view " + view.getKey() + " "
                + (view instanceof DynamicView story ? story.getRelationships().size()
                        : ((ModelView) view).getElements().size())));
    }

    private Main() {}
}
